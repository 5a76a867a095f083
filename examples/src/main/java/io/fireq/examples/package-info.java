/** A tour of what a Spring Boot application does with FireQ. Every stop is a class that can be copied by itself. */
package io.fireq.examples;
