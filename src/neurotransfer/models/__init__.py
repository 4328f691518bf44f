"""Networks, and the folders that hold them."""

from neurotransfer.models.card import Card
from neurotransfer.models.folder import Model, load_model, save_model
from neurotransfer.models.network import ENCODERS, Network, build_encoder
from neurotransfer.models.sfcn import SFCN

__all__ = ["ENCODERS", "SFCN", "Card", "Model", "Network", "build_encoder", "load_model", "save_model"]
