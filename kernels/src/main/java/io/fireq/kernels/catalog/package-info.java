/** What kernels there are: their sources, constants and compiled forms. Knows neither the compiler nor the driver. */
package io.fireq.kernels.catalog;
