package io.fireq.kernels.attention;

import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * One layer's K and V on the device.
 *
 * @param layout  shape of both
 * @param kCodes  {@link PagedKvLayout#codeBytes()}
 * @param kParams {@link PagedKvLayout#paramBytes()}
 * @param vCodes  {@link PagedKvLayout#codeBytes()}
 * @param vParams {@link PagedKvLayout#paramBytes()}
 */
public record PagedKv(PagedKvLayout layout, DeviceBuffer kCodes, DeviceBuffer kParams, DeviceBuffer vCodes,
        DeviceBuffer vParams) {

    public PagedKv {
        kCodes.require("PagedKv", "kCodes", layout.codeBytes(), 1);
        vCodes.require("PagedKv", "vCodes", layout.codeBytes(), 1);
        kParams.require("PagedKv", "kParams", layout.paramBytes(), 1);
        vParams.require("PagedKv", "vParams", layout.paramBytes(), 1);
    }
}
