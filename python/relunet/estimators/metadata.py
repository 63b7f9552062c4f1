"""Metadata routing of scikit-learn: requests of estimator methods for `sample_weight`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from sklearn.utils.metadata_routing import MetadataRequest

__all__ = ["FitRequest", "ScoreRequest"]

# What scikit-learn takes for "leave the request as it is".
_UNCHANGED = "$UNCHANGED$"


class FitRequest:
    """The requests of an estimator whose `fit` takes weights."""

    # Methods that take `sample_weight`.
    _weighted: ClassVar[tuple[str, ...]] = ("fit",)

    _metadata_request: MetadataRequest

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the requests for metadata, as scikit-learn asks for them.

        Returns
        -------
        sklearn.utils.metadata_routing.MetadataRequest
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=type(self).__name__)
        stored = getattr(self, "_metadata_request", None)
        for method in self._weighted:
            alias = None if stored is None else getattr(stored, method).requests.get("sample_weight")
            getattr(request, method).add_request(param="sample_weight", alias=alias)
        return request

    # The name by which routers of scikit-learn ask.
    _get_metadata_request = get_metadata_routing

    def set_fit_request(self, *, sample_weight: bool | str | None = _UNCHANGED) -> Self:
        """Say whether meta-estimators of scikit-learn pass `sample_weight` to `fit`.

        It needs ``sklearn.set_config(enable_metadata_routing=True)``.

        Parameters
        ----------
        sample_weight : bool, str or None
            True passes it, False does not, None raises an error if it is given, and a string is the name under which
            it is given.

        Returns
        -------
        Self
            This estimator.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        """
        return self._request("fit", sample_weight)

    def _request(self, method: str, alias: Any) -> Self:
        from sklearn import get_config

        if not get_config().get("enable_metadata_routing", False):
            raise RuntimeError(
                "This method is only available when metadata routing is enabled. You can enable it using "
                "sklearn.set_config(enable_metadata_routing=True)."
            )
        if alias != _UNCHANGED:
            request = self.get_metadata_routing()
            getattr(request, method).add_request(param="sample_weight", alias=alias)
            self._metadata_request = request
        return self


class ScoreRequest(FitRequest):
    """The requests of an estimator whose `fit` and `score` take weights."""

    _weighted = ("fit", "score")

    def set_score_request(self, *, sample_weight: bool | str | None = _UNCHANGED) -> Self:
        """Say whether meta-estimators of scikit-learn pass `sample_weight` to `score`; see `set_fit_request`.

        Parameters
        ----------
        sample_weight : bool, str or None
            As for `set_fit_request`.

        Returns
        -------
        Self
            This estimator.

        Raises
        ------
        RuntimeError
            If metadata routing is not enabled.
        """
        return self._request("score", sample_weight)
