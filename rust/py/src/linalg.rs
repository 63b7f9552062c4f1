//! Factorisations and products of the core, for the small matrices that Python decides upon.

use ndarray::Array2;
use numpy::{PyArray1, PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use relunet_core::linalg;

use crate::error::to_python;

type Matrix<'py> = Bound<'py, PyArray2<f64>>;
type Vector<'py> = Bound<'py, PyArray1<f64>>;

/// Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix.
#[pyfunction]
pub fn eigh<'py>(py: Python<'py>, a: PyReadonlyArray2<'py, f64>) -> PyResult<(Vector<'py>, Matrix<'py>)> {
    let view = a.as_array();
    let (values, vectors) = py.detach(|| linalg::eigh(view)).map_err(|error| to_python(py, error))?;
    Ok((values.to_pyarray(py), vectors.to_pyarray(py)))
}

/// Thin singular value decomposition: u, the singular values (descending), vt.
#[pyfunction]
pub fn svd<'py>(py: Python<'py>, a: PyReadonlyArray2<'py, f64>) -> PyResult<(Matrix<'py>, Vector<'py>, Matrix<'py>)> {
    let view = a.as_array();
    let (u, s, vt) = py.detach(|| linalg::svd(view)).map_err(|error| to_python(py, error))?;
    Ok((u.to_pyarray(py), s.to_pyarray(py), row_major(&vt).to_pyarray(py)))
}

/// Solution of a x = b for symmetric positive definite a.
#[pyfunction]
pub fn solve_spd<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let x = py.detach(|| linalg::solve_spd(a, b)).map_err(|error| to_python(py, error))?;
    Ok(x.to_pyarray(py))
}

/// Least-squares solution of a x = b by QR with column pivoting.
#[pyfunction]
pub fn lstsq<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let x = py.detach(|| linalg::lstsq(a, b)).map_err(|error| to_python(py, error))?;
    Ok(x.to_pyarray(py))
}

/// The product a b.
#[pyfunction]
pub fn matmul<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let product = py.detach(|| linalg::matmul(a, b)).map_err(|error| to_python(py, error))?;
    Ok(product.to_pyarray(py))
}

fn row_major(a: &Array2<f64>) -> Array2<f64> {
    a.as_standard_layout().into_owned()
}
