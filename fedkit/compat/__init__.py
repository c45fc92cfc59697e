"""Packages made safe to use: TensorFlow Federated, TenSEAL, Google Colab. Nobody reads this to learn."""
