/** Spring Boot's auto-configuration of a FireQ engine and its LangChain4j models, from {@code fireq.*} properties. */
package io.fireq.spring;
