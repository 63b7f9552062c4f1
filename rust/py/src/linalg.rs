//! Factorisations and products of small matrices, computed by the core.

use ndarray::{Array2, ArrayView2};
use numpy::{PyArray1, PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;
use relunet_core::error::Result;
use relunet_core::linalg;

use crate::error::to_python;
use crate::interrupt::abandonable;

type Matrix<'py> = Bound<'py, PyArray2<f64>>;
type Vector<'py> = Bound<'py, PyArray1<f64>>;

/// Number of floating-point operations, worth about a second, above which a call checks for signals.
const LONG: f64 = 1e9;

/// Runs `work`, which takes about `operations` floating-point operations and cannot be cancelled.
///
/// Long work runs on copies of its arguments, so that it can be abandoned when a signal arrives.
fn computed<T: Send + 'static>(
    py: Python<'_>,
    operations: f64,
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
    work: fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Result<T>,
) -> PyResult<T> {
    let result = if operations < LONG {
        py.detach(|| work(a, b))
    } else {
        let (a, b) = (a.to_owned(), b.to_owned());
        abandonable(py, None, move |_| work(a.view(), b.view()))?
    };
    result.map_err(|error| to_python(py, error))
}

/// Returns m n min(m, n) for a matrix of shape (m, n).
fn cube(a: &ArrayView2<'_, f64>) -> f64 {
    a.nrows() as f64 * a.ncols() as f64 * a.nrows().min(a.ncols()) as f64
}

/// Return the eigenvalues, in ascending order, and the eigenvectors, as columns, of a symmetric matrix.
#[pyfunction]
pub fn eigh<'py>(py: Python<'py>, a: PyReadonlyArray2<'py, f64>) -> PyResult<(Vector<'py>, Matrix<'py>)> {
    let a = a.as_array();
    let (values, vectors) = computed(py, 9.0 * cube(&a), a, a, |a, _| linalg::eigh(a))?;
    Ok((values.to_pyarray(py), vectors.to_pyarray(py)))
}

/// Return u, the singular values, in descending order, and vt of the thin singular value decomposition.
#[pyfunction]
pub fn svd<'py>(py: Python<'py>, a: PyReadonlyArray2<'py, f64>) -> PyResult<(Matrix<'py>, Vector<'py>, Matrix<'py>)> {
    let a = a.as_array();
    let (u, s, vt) = computed(py, 20.0 * cube(&a), a, a, |a, _| linalg::svd(a))?;
    Ok((u.to_pyarray(py), s.to_pyarray(py), row_major(&vt).to_pyarray(py)))
}

/// Return the solution of a x = b for a symmetric positive definite matrix a.
#[pyfunction]
pub fn solve_spd<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let operations = cube(&a) / 3.0 + 2.0 * a.len() as f64 * b.ncols() as f64;
    Ok(computed(py, operations, a, b, linalg::solve_spd)?.to_pyarray(py))
}

/// Return the least-squares solution of a x = b, by QR with column pivoting.
#[pyfunction]
pub fn lstsq<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let operations = 2.0 * cube(&a) + 2.0 * a.len() as f64 * b.ncols() as f64;
    Ok(computed(py, operations, a, b, linalg::lstsq)?.to_pyarray(py))
}

/// Return the matrix product of a and b.
#[pyfunction]
pub fn matmul<'py>(
    py: Python<'py>,
    a: PyReadonlyArray2<'py, f64>,
    b: PyReadonlyArray2<'py, f64>,
) -> PyResult<Matrix<'py>> {
    let (a, b) = (a.as_array(), b.as_array());
    let operations = 2.0 * a.len() as f64 * b.ncols() as f64;
    Ok(computed(py, operations, a, b, linalg::matmul)?.to_pyarray(py))
}

fn row_major(a: &Array2<f64>) -> Array2<f64> {
    a.as_standard_layout().into_owned()
}
