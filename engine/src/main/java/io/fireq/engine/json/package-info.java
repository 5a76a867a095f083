/**
 * Reading of JSON files that nobody vouches for: sizes, depth and counts are limited before anything is allocated, and
 * every complaint names the file, the byte and the remedy.
 */
package io.fireq.engine.json;
