// Which output tiles, and which part of their reduction, a worker computes. A worker is a CTA or a cluster; all roles of
// its warps walk the same list.
//
// Whole tiles (SPLIT_K false): worker w takes the tiles w, w + workers, .. of an order that keeps neighbours in L2: all
// weights of RASTER_M token tiles, before the next token tiles.
//
//     tile_n    0       1       2
//     tile_m 0  0  1    8  9
//            1  ..               RASTER_M = 2 would give 0 2 4 / 1 3 5
//
// Even shares (SPLIT_K true): the k blocks of all tiles form one line, cut into equal parts. A worker's part covers the
// end of one tile, whole tiles and the beginning of another:
//
//     tiles     |-------0-------|-------1-------|-------2-------|
//     workers   |----0----|----1----|----2----|----3----|---4---|
//
// A tile cut into several pieces is summed in the order of its pieces, see split_k.cuh.
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

// Shapes in tiles; the launcher sees to it that all k blocks of all tiles can be counted in an int.
struct TileGrid {
    int tiles_m;
    int tiles_n;
    int k_blocks;
};

template <bool SPLIT_K>
class TileScheduler {
  public:
    int tile_m = 0;
    int tile_n = 0;
    int first_k = 0;
    int end_k = 0;

    __device__ __forceinline__ TileScheduler(const TileGrid& grid, int worker, int workers)
        : grid_(grid), worker_(worker), workers_(workers) {
        if constexpr (SPLIT_K) {
            next_ = share_begin(worker);
            end_ = share_begin(worker + 1);
        } else {
            next_ = worker;
            end_ = grid.tiles_m * grid.tiles_n;
        }
    }

    // Moves to the next piece; false where there is none.
    __device__ __forceinline__ bool next() {
        if (next_ >= end_) {
            return false;
        }
        if constexpr (SPLIT_K) {
            const int tile = next_ / grid_.k_blocks;
            first_k = next_ % grid_.k_blocks;
            end_k = min(grid_.k_blocks, first_k + end_ - next_);
            next_ += end_k - first_k;
            locate(tile);
        } else {
            end_k = grid_.k_blocks;
            locate(next_);
            next_ += workers_;
        }
        return true;
    }

    __device__ __forceinline__ bool is_whole_tile() const { return first_k == 0 && end_k == grid_.k_blocks; }

    // The worker that computes k block 0 of the current tile.
    __device__ __forceinline__ int first_worker() const { return owner(tile_index() * grid_.k_blocks); }

    // The worker that computes the last k block of the current tile.
    __device__ __forceinline__ int last_worker() const { return owner((tile_index() + 1) * grid_.k_blocks - 1); }

  private:
    static constexpr int RASTER_M = 8;

    TileGrid grid_;
    int worker_;
    int workers_;
    int next_;
    int end_;

    __device__ __forceinline__ int units() const { return grid_.tiles_m * grid_.tiles_n * grid_.k_blocks; }

    __device__ __forceinline__ int share_begin(int worker) const { return int(i64(worker) * units() / workers_); }

    // The largest worker whose share begins at or before the unit.
    __device__ __forceinline__ int owner(int unit) const { return int((i64(unit + 1) * workers_ - 1) / units()); }

    __device__ __forceinline__ int tile_index() const { return tile_n * grid_.tiles_m + tile_m; }

    __device__ __forceinline__ void locate(int tile) {
        if constexpr (SPLIT_K) {
            tile_n = tile / grid_.tiles_m;
            tile_m = tile % grid_.tiles_m;
        } else {
            const int band_tiles = RASTER_M * grid_.tiles_n;
            const int first_m = tile / band_tiles * RASTER_M;
            const int band_m = min(RASTER_M, grid_.tiles_m - first_m);
            const int inside = tile % band_tiles;
            tile_m = first_m + inside % band_m;
            tile_n = inside / band_m;
        }
    }
};

}  // namespace fireq
