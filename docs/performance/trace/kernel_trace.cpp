// Writes the start and end of every kernel of a process, those of a replayed graph included, as lines of
//
//     name  start_ns  end_ns  ctas  threads
//
// to the file that KERNEL_TRACE names. Needs the headers and libraries of the CUDA toolkit, or of its Python packages:
//
//     g++ -O2 -shared -fPIC kernel_trace.cpp -I$CUDA/include -L$CUDA/lib64 -lcupti -o libkernel_trace.so
//     CUDA_INJECTION64_PATH=$PWD/libkernel_trace.so KERNEL_TRACE=trace.txt java ... io.fireq.cli.Fireq bench ...
//
// Launches that overlap stay as they are; the device's time of a step under trace is that without to within 2 %.
#include <cupti.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace {

constexpr size_t BUFFER_BYTES = 4 << 20;

std::FILE* trace;
std::mutex trace_mutex;

void CUPTIAPI give_buffer(uint8_t** buffer, size_t* size, size_t* max_records) {
    *size = BUFFER_BYTES;
    *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, BUFFER_BYTES));
    *max_records = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid_bytes) {
    const std::lock_guard<std::mutex> lock(trace_mutex);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel9*>(record);
            std::fprintf(trace, "%s\t%llu\t%llu\t%d\t%d\n", kernel->name, (unsigned long long)kernel->start,
                         (unsigned long long)kernel->end, kernel->gridX * kernel->gridY * kernel->gridZ, kernel->blockX);
        }
    }
    std::free(buffer);
}

void finish() {
    cuptiActivityFlushAll(1);
    std::fclose(trace);
}

}  // namespace

// The driver calls this when it is initialized.
extern "C" int InitializeInjection() {
    const char* path = std::getenv("KERNEL_TRACE");
    trace = std::fopen(path != nullptr ? path : "kernel_trace.txt", "w");
    if (trace == nullptr || cuptiActivityRegisterCallbacks(give_buffer, take_buffer) != CUPTI_SUCCESS ||
        cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) {
        std::fprintf(stderr, "kernel_trace: cannot trace to %s\n", path != nullptr ? path : "kernel_trace.txt");
        return 0;
    }
    std::atexit(finish);
    return 1;
}
