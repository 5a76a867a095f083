/** Which tokens the next step computes. Knows neither model nor device, so that it runs anywhere. */
package io.fireq.engine.scheduler;
