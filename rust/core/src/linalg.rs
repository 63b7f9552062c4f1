//! Factorisations and dense products of small matrices, whose bits do not depend on the number of threads.
//!
//! Every function runs on one thread. Functions that Python calls copy their arguments into aligned matrices, because
//! some kernels of the linear algebra library treat the first elements differently depending on their alignment, and a
//! caller's slice may start anywhere. The products that the search uses read their arguments in place; a test checks
//! that their bits do not depend on the alignment.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::{Solve, SolveLstsq};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use ndarray::{Array1, Array2, ArrayView2};

use crate::error::{Error, Result};
use crate::memory;

fn matrix(a: ArrayView2<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)])
}

fn array(a: MatRef<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), a.ncols()), |(i, j)| a[(i, j)])
}

/// Checks that there is memory for copies of matrices and for what is computed from them, of `n` numbers in all.
fn room(n: usize) -> Result<()> {
    memory::require(n.saturating_mul(size_of::<f64>()))
}

fn square(name: &str, a: &ArrayView2<'_, f64>) -> Result<()> {
    if a.nrows() == a.ncols() {
        return Ok(());
    }
    Err(Error::argument(name, format!("expected a square matrix, got shape ({}, {})", a.nrows(), a.ncols())))
}

fn finite(name: &str, a: &ArrayView2<'_, f64>) -> Result<()> {
    if a.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(Error::argument(name, "expected finite entries"))
}

fn rows_match(a: &ArrayView2<'_, f64>, b: &ArrayView2<'_, f64>) -> Result<()> {
    if a.nrows() == b.nrows() {
        return Ok(());
    }
    Err(Error::argument("b", format!("expected {} rows as in a, got {}", a.nrows(), b.nrows())))
}

/// Returns the eigenvalues, in ascending order, and the eigenvectors, as columns, of a symmetric matrix.
///
/// Only the lower triangle of `a` is read. The sign of each eigenvector is chosen so that its largest entry is
/// positive, and hence does not depend on rounding inside the solver.
///
/// # Errors
/// The matrix is not square or not finite, or the iteration does not converge.
pub fn eigh(a: ArrayView2<'_, f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    square("a", &a)?;
    finite("a", &a)?;
    if a.is_empty() {
        return Ok((Array1::zeros(0), Array2::zeros((0, 0))));
    }
    room(6 * a.len())?;
    let eigen = matrix(a)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Numerical("the symmetric eigenvalue iteration did not converge".into()))?;
    let values = eigen.S().column_vector();
    let mut vectors = array(eigen.U());
    for mut column in vectors.columns_mut() {
        let largest = column.iter().fold(0.0_f64, |m, &v| if v.abs() > m.abs() { v } else { m });
        if largest < 0.0 {
            column.mapv_inplace(|v| -v);
        }
    }
    Ok((Array1::from_shape_fn(values.nrows(), |i| values[i]), vectors))
}

/// Returns the thin singular value decomposition `a = u diag(s) vt`, with singular values in descending order.
///
/// # Errors
/// The matrix is not finite, or the iteration does not converge.
pub fn svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Array1<f64>, Array2<f64>)> {
    finite("a", &a)?;
    if a.is_empty() {
        let (m, n) = a.dim();
        return Ok((Array2::zeros((m, 0)), Array1::zeros(0), Array2::zeros((0, n))));
    }
    room(6 * a.len())?;
    let svd =
        matrix(a).thin_svd().map_err(|_| Error::Numerical("the singular value iteration did not converge".into()))?;
    let values = svd.S().column_vector();
    let vt = array(svd.V()).reversed_axes();
    Ok((array(svd.U()), Array1::from_shape_fn(values.nrows(), |i| values[i]), vt))
}

/// Solves `a x = b` for a symmetric positive definite `a`, of which only the lower triangle is read.
///
/// # Errors
/// Shapes do not match, an entry is not finite, or the matrix is not positive definite.
pub fn solve_spd(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    square("a", &a)?;
    rows_match(&a, &b)?;
    room(3 * a.len() + 3 * b.len())?;
    let factor =
        matrix(a).llt(Side::Lower).map_err(|_| Error::Numerical("a: expected a positive definite matrix".into()))?;
    Ok(array(factor.solve(matrix(b)).as_ref()))
}

/// Returns the least-squares solution of `a x = b`, by QR with column pivoting.
///
/// `a` must have at least as many rows as columns.
///
/// # Errors
/// Shapes do not match, or an entry is not finite.
pub fn lstsq(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    rows_match(&a, &b)?;
    finite("a", &a)?;
    if a.nrows() < a.ncols() {
        return Err(Error::argument("a", format!("expected no more columns than rows, got shape {:?}", a.dim())));
    }
    room(4 * a.len() + 4 * b.len())?;
    Ok(array(matrix(a).col_piv_qr().solve_lstsq(matrix(b)).as_ref()))
}

/// Returns the product `a b`.
///
/// # Errors
/// Shapes do not match.
pub fn matmul(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
    if a.ncols() != b.nrows() {
        return Err(Error::argument("b", format!("expected {} rows, got {}", a.ncols(), b.nrows())));
    }
    let n_products = a.nrows().saturating_mul(b.ncols());
    room(a.len().saturating_add(b.len()).saturating_add(n_products.saturating_mul(2)))?;
    let (a, b) = (transposed(a), transposed(b));
    let mut out = Mat::<f64>::zeros(b.nrows(), a.ncols());
    let product = out.as_mut().transpose_mut();
    faer::linalg::matmul::matmul(product, Accum::Replace, a.transpose(), b.transpose(), 1.0, Par::Seq);
    let mut values = Vec::with_capacity(n_products);
    (0..out.ncols()).for_each(|i| values.extend_from_slice(out.col_as_slice(i)));
    Array2::from_shape_vec((out.ncols(), out.nrows()), values).map_err(|error| Error::Numerical(error.to_string()))
}

/// Computes `c += aᵀ b` for row-major a (`m x i`), b (`m x j`), c (`i x j`); `c` is unchanged if shapes do not match.
pub(crate) fn add_product(c: &mut [f64], a: &[f64], b: &[f64], m: usize) {
    let (i, j) = (a.len() / m.max(1), b.len() / m.max(1));
    if i * j == 0 || (c.len(), a.len(), b.len()) != (i * j, m * i, m * j) {
        return;
    }
    let (a, b) = (MatRef::from_row_major_slice(a, m, i), MatRef::from_row_major_slice(b, m, j));
    let c = MatMut::from_row_major_slice_mut(c, i, j);
    faer::linalg::matmul::matmul(c, Accum::Add, a.transpose(), b, 1.0, Par::Seq);
}

/// `aᵀ a` for row-major `a` of `m` rows, its lower triangle right and the rest zero.
pub(crate) fn normal_matrix(a: &[f64], m: usize) -> Vec<f64> {
    let p = a.len() / m.max(1);
    let mut c = vec![0.0; p * p];
    let a = MatRef::from_row_major_slice(a, m, p);
    let product = MatMut::from_row_major_slice_mut(&mut c, p, p);
    let (lower, full) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    triangular::matmul(product, lower, Accum::Replace, a.transpose(), full, a, full, 1.0, Par::Seq);
    c
}

/// `aᵀ v` for row-major `a`, one row an entry of `v`.
pub(crate) fn product_with_vector(a: &[f64], v: &[f64]) -> Vec<f64> {
    let mut c = vec![0.0; a.len() / v.len().max(1)];
    add_product(&mut c, a, v, v.len());
    c
}

/// Returns `a bᵀ` (`m x j`) for row-major a (`m x i`) and b (`j x i`).
pub(crate) fn product_transposed(a: &[f64], b: &[f64], i: usize) -> Vec<f64> {
    let (m, j) = (a.len() / i.max(1), b.len() / i.max(1));
    let mut c = vec![0.0; m * j];
    let (a, b) = (MatRef::from_row_major_slice(a, m, i), MatRef::from_row_major_slice(b, j, i));
    let product = MatMut::from_row_major_slice_mut(&mut c, m, j);
    faer::linalg::matmul::matmul(product, Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
    c
}

/// Products in single precision, for stochastic gradients.
pub(crate) mod single {
    use super::{Accum, MatMut, MatRef, Par};

    /// `c += aᵀ b` for row-major a (`m x i`), b (`m x j`), c (`i x j`); nothing where the shapes do not fit.
    pub(crate) fn add_product(c: &mut [f32], a: &[f32], b: &[f32], m: usize) {
        let (i, j) = (a.len() / m.max(1), b.len() / m.max(1));
        if i * j == 0 || (c.len(), a.len(), b.len()) != (i * j, m * i, m * j) {
            return;
        }
        let (a, b) = (MatRef::from_row_major_slice(a, m, i), MatRef::from_row_major_slice(b, m, j));
        let c = MatMut::from_row_major_slice_mut(c, i, j);
        faer::linalg::matmul::matmul(c, Accum::Add, a.transpose(), b, 1.0, Par::Seq);
    }

    /// `a bᵀ` for row-major a (`m x i`), b (`j x i`): `m x j`.
    pub(crate) fn product_transposed(a: &[f32], b: &[f32], i: usize) -> Vec<f32> {
        let (m, j) = (a.len() / i.max(1), b.len() / i.max(1));
        let mut c = vec![0.0; m * j];
        let (a, b) = (MatRef::from_row_major_slice(a, m, i), MatRef::from_row_major_slice(b, j, i));
        let product = MatMut::from_row_major_slice_mut(&mut c, m, j);
        faer::linalg::matmul::matmul(product, Accum::Replace, a, b.transpose(), 1.0, Par::Seq);
        c
    }
}

/// Returns `aᵀ` in column-major layout, so that the rows of a row-major `a` remain contiguous.
fn transposed(a: ArrayView2<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.ncols(), a.nrows());
    for (i, row) in a.rows().into_iter().enumerate() {
        out.col_as_slice_mut(i).iter_mut().zip(row).for_each(|(to, &from)| *to = from);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_of_products_do_not_depend_on_where_slices_begin(
            m in 1_usize..300, i in 1_usize..40, j in 1_usize..40, offset in 1_usize..8,
        ) {
            let value = |k: usize| ((k * 7919 + 13) % 1009) as f64 / 500.0 - 1.0;
            let a: Vec<f64> = (0..m * i + 8).map(value).collect();
            let b: Vec<f64> = (0..m * j + 8).map(|k| value(k + 5)).collect();
            let mut first = vec![0.5; i * j];
            add_product(&mut first, &a[..m * i], &b[..m * j], m);
            for (at, entry) in first.iter().enumerate() {
                let sum = 0.5 + (0..m).map(|r| a[r * i + at / j] * b[r * j + at % j]).sum::<f64>();
                prop_assert!((sum - entry).abs() < 1e-10);
            }
            let moved = |v: &[f64]| [vec![0.0; offset], v.to_vec()].concat();
            let (a, b) = (moved(&a[..m * i]), moved(&b[..m * j]));
            let mut second = vec![0.5; i * j + offset];
            add_product(&mut second[offset..], &a[offset..], &b[offset..], m);
            prop_assert_eq!(first, second[offset..].to_vec());
        }

        #[test]
        fn transposed_products_do_not_depend_on_where_slices_begin(
            m in 1_usize..300, i in 1_usize..40, j in 1_usize..40, offset in 1_usize..8,
        ) {
            let value = |k: usize| ((k * 7919 + 13) % 1009) as f64 / 500.0 - 1.0;
            let a: Vec<f64> = (0..m * i).map(value).collect();
            let b: Vec<f64> = (0..j * i).map(|k| value(k + 5)).collect();
            let first = product_transposed(&a, &b, i);
            for (at, entry) in first.iter().enumerate() {
                let sum = (0..i).map(|c| a[at / j * i + c] * b[at % j * i + c]).sum::<f64>();
                prop_assert!((sum - entry).abs() < 1e-10);
            }
            let moved = |v: &[f64]| [vec![0.0; offset], v.to_vec()].concat();
            prop_assert_eq!(first, product_transposed(&moved(&a)[offset..], &moved(&b)[offset..], i));
        }
    }

    #[test]
    fn factorisations_reproduce_the_matrix() -> Result<()> {
        let a = array![[4.0, 1.0, 0.5], [1.0, 3.0, -1.0], [0.5, -1.0, 2.0]];
        let (values, vectors) = eigh(a.view())?;
        let scaled = &vectors * &values;
        let back = matmul(scaled.view(), vectors.t())?;
        let (u, s, vt) = svd(a.view())?;
        let again = matmul((&u * &s).view(), vt.view())?;
        let inverse = solve_spd(a.view(), Array2::eye(3).view())?;
        let one = matmul(a.view(), inverse.view())?;
        for ((i, j), &v) in a.indexed_iter() {
            assert!((back[(i, j)] - v).abs() < 1e-14 && (again[(i, j)] - v).abs() < 1e-14);
            assert!((one[(i, j)] - f64::from(u8::from(i == j))).abs() < 1e-14);
        }
        let x = lstsq(a.view(), a.column(0).insert_axis(ndarray::Axis(1)))?;
        assert!((x[(0, 0)] - 1.0).abs() < 1e-14 && x[(1, 0)].abs() < 1e-14 && x[(2, 0)].abs() < 1e-14);
        Ok(())
    }

    #[test]
    fn bad_arguments_are_errors() {
        assert!(eigh(Array2::zeros((2, 3)).view()).is_err());
        assert!(eigh(array![[f64::NAN]].view()).is_err());
        assert!(solve_spd(array![[-1.0]].view(), array![[1.0]].view()).is_err());
        assert!(matmul(Array2::zeros((2, 3)).view(), Array2::zeros((2, 3)).view()).is_err());
        assert!(lstsq(Array2::zeros((1, 2)).view(), Array2::zeros((1, 1)).view()).is_err());
    }
}
