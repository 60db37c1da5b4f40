"""Models of every kind that a write can meet."""

import uuid

import django
from django.db import models


class Category(models.Model):
    name = models.CharField(max_length=50)
    slug = models.SlugField(unique=True)


class Label(models.Model):
    name = models.CharField(max_length=50)


class Product(models.Model):
    name = models.CharField(max_length=50)
    slug = models.SlugField(unique=True, null=True)
    price = models.IntegerField(default=0)
    category = models.ForeignKey(Category, models.CASCADE, null=True, related_name="products")
    labels = models.ManyToManyField(Label, related_name="products")
    updated_at = models.DateTimeField(auto_now=True)


class Offer(Product):
    """A proxy."""

    class Meta:
        proxy = True


class Review(models.Model):
    """Goes with its product."""

    product = models.ForeignKey(Product, models.CASCADE)
    text = models.CharField(max_length=50)


class Complaint(models.Model):
    """Outlives its product."""

    product = models.ForeignKey(Product, models.SET_NULL, null=True)
    text = models.CharField(max_length=50)


class Place(models.Model):
    name = models.CharField(max_length=50)


class Restaurant(Place):
    """Two tables."""

    serves_pizza = models.BooleanField(default=False)


class Cafe(Restaurant):
    """Three tables."""

    seats = models.IntegerField(default=0)


class Parcel(models.Model):
    """Its key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    state = models.CharField(max_length=50)


class Digest(models.Model):
    """Its key is bytes."""

    id = models.BinaryField(primary_key=True, max_length=32)
    text = models.CharField(max_length=50)


class Country(models.Model):
    """Its key is text that tags can't carry as it is."""

    name = models.CharField(max_length=50, primary_key=True)
    people = models.IntegerField(default=0)


class Secret(models.Model):
    """Never announced."""

    text = models.CharField(max_length=50)


if django.VERSION >= (5, 2):

    class Line(models.Model):
        """Its key has two parts."""

        pk = models.CompositePrimaryKey("order", "number")
        order = models.IntegerField()
        number = models.IntegerField()
        text = models.CharField(max_length=50)


if django.VERSION >= (6, 1):

    class Machine(models.Model):
        name = models.CharField(max_length=50)

    class Part(models.Model):
        """Goes with its machine without Django's doing."""

        machine = models.ForeignKey(Machine, models.DB_CASCADE)
        name = models.CharField(max_length=50)

    class Bill(models.Model):
        """Outlives its machine without Django's doing."""

        machine = models.ForeignKey(Machine, models.DB_SET_NULL, null=True)
        text = models.CharField(max_length=50)
