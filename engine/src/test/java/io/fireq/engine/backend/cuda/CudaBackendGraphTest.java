package io.fireq.engine.backend.cuda;

/** The contract where decode steps are collected, padded, recorded and replayed. */
class CudaBackendGraphTest extends CudaBackendTest {
    @Override
    boolean graphs() {
        return true;
    }
}
