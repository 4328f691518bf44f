"""How a hub is asked: where it is, who asks, how often, and what its refusals mean in words."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from neurotransfer.artifacts import is_full, package_version
from neurotransfer.errors import InputError
from neurotransfer.models.transport import OFFLINE, PASSING, Transport, host_of, is_offline, require_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Given = TypeVar("Given")
# the libraries of HTTP that the client of the hub is built on, now and in earlier versions
_NETWORK = {"httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3"}
_HIDDEN = "(token)"
_DEFAULT = Transport(waits=(1.0, 3.0))


@dataclass(frozen=True)
class Hub:
    """A hub, and one repository there that is asked for.

    Attributes:
        api: the client.
        endpoint: where the hub is.
        repository: OWNER/NAME.
        token: who asks; empty where nobody is named.
        transport: waits before further tries.
    """

    api: "HfApi"
    endpoint: str
    repository: str
    token: str
    transport: Transport

    @classmethod
    def of(
        cls,
        repository: str,
        token: str | None = None,
        endpoint: str | None = None,
        transport: Transport | None = None,
        writes: bool = False,
    ) -> "Hub":
        """A hub by its endpoint and a token, or by those of the environment.

        Raises:
            InputError: when the network is not to be used, its client is not installed, the endpoint is not allowed, or there is
                no token and something is to be written.
        """
        transport = transport or _DEFAULT
        if is_offline(transport) or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
            raise InputError(
                f"the network is not to be used ({OFFLINE} or HF_HUB_OFFLINE is set), so {repository!r} cannot be reached; "
                "unset it, or copy the model folder by hand"
            )
        try:
            from huggingface_hub import HfApi, constants, get_token
        except ImportError:
            raise InputError(
                "models are shared with huggingface_hub, which is not installed; run pip install 'neurotransfer[hub]'"
            ) from None
        endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        require_url(endpoint)
        token = (token or get_token() or "").strip()
        if writes and not token:
            raise InputError(
                f"nobody may write to {repository!r} without a token: make one with the right to write at "
                f"{endpoint}/settings/tokens, and set HF_TOKEN or run `hf auth login`"
            )
        if not token.isascii() or not token.isprintable():
            raise InputError("the token has characters that no token has; set HF_TOKEN anew")
        client = HfApi(
            endpoint,
            token=token or False,
            library_name="neurotransfer",
            library_version=package_version("neurotransfer"),
        )
        return cls(client, endpoint, repository, token, transport)

    def ask(self, call: Callable[..., Given], *arguments: Any, **options: Any) -> Given:
        """What a call of the client gives, tried again where that may help.

        Raises:
            InputError: when it is refused or the hub is out of reach; the token is in no message.
        """
        waits = list(self.transport.waits)
        while True:
            try:
                with _quiet():
                    return call(*arguments, **options)
            except (OSError, ValueError, LookupError, RuntimeError) as error:
                failure: Exception = error
            except Exception as error:
                if not _is_network(error):
                    raise
                failure = error
            if isinstance(failure, OSError) and is_full(failure):
                raise failure
            if not waits or not _may_pass(failure):
                raise InputError(self._said(failure).replace(self.token or _HIDDEN, _HIDDEN)) from None
            self.transport.sleep(waits.pop(0))

    def _said(self, error: Exception) -> str:
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        where, status = host_of(self.endpoint), _status(error)
        known = f"{self.repository!r} at {where}"
        if isinstance(error, GatedRepoError):
            return f"{known} is given to those whom its owners let in; ask for it at {self.endpoint}/{self.repository}"
        if isinstance(error, RevisionNotFoundError):
            return f"{known} has no such revision; give a branch, a tag or a commit that it has, or none for the newest"
        if isinstance(error, RepositoryNotFoundError) or status == 404:
            hidden = (
                "and the token, if it is right, sees no private one" if self.token else "or it is private: set HF_TOKEN"
            )
            return f"there is no model {known}, {hidden}; look at the name, which is OWNER/NAME"
        if status == 401:
            return f"{where} does not know the token; make one at {self.endpoint}/settings/tokens and set HF_TOKEN"
        if status == 403:
            return f"the token has no right to do this to {known}; give it the right to write, or use a repository of your own"
        if status in PASSING:
            return f"{where} is busy (it answers {status} for {self.repository!r}); try again later"
        if status is not None:
            said = (
                getattr(_root(error), "server_message", None) if error is _root(error) else " ".join(str(error).split())
            )
            return f"{where} refuses what was asked of {self.repository!r} (answer {status}: {_first_line(said or 'no reason')})"
        root = _root(error)
        if _is_network(root):
            more = "; a hub without xet needs HF_HUB_DISABLE_XET=1" if "xet" in str(root) else ""
            return f"{where} is out of reach ({_first_line(root)}); look at the network, the proxy and HF_ENDPOINT, try again{more}"
        return f"{where} gave no answer that can be used for {self.repository!r} ({type(root).__name__}: {_first_line(root)})"


def _root(error: BaseException) -> BaseException:
    """What an error that only says that something failed comes from."""
    while error.__cause__ is not None and getattr(error, "response", None) is None:
        error = error.__cause__
    return error


def _status(error: BaseException) -> int | None:
    return getattr(getattr(_root(error), "response", None), "status_code", None)


def _is_network(error: BaseException) -> bool:
    root = _root(error)
    modules = {kind.__module__.partition(".")[0] for kind in type(root).__mro__}
    return _status(root) is None and (isinstance(root, (ConnectionError, TimeoutError)) or bool(modules & _NETWORK))


def _may_pass(error: Exception) -> bool:
    return _status(error) in PASSING or _is_network(error)


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars of the client where nobody looks at them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
