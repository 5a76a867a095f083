package io.fireq.spring;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.members;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import org.springframework.boot.autoconfigure.AutoConfiguration;

@AnalyzeClasses(packages = "io.fireq.spring", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    @ArchTest
    static final ArchRule auto_configurations_are_public_and_final = classes()
            .that().areAnnotatedWith(AutoConfiguration.class)
            .should().bePublic().andShould().haveModifier(JavaModifier.FINAL)
            .because("an application may name them to exclude them, and nothing else");

    @ArchTest
    static final ArchRule auto_configurations_have_no_public_members = members()
            .that().areDeclaredInClassesThat().areAnnotatedWith(AutoConfiguration.class)
            .should().notBePublic()
            .because("their beans are the interface, not their methods");

    @ArchTest
    static final ArchRule opens_engines_but_knows_nothing_inside_them = noClasses()
            .should().dependOnClassesThat().resideInAnyPackage("io.fireq.engine.backend..", "io.fireq.engine.model..",
                    "io.fireq.engine.weights..", "io.fireq.engine.runtime..", "io.fireq.kernels..", "org.bytedeco..")
            .because("the starter only configures");

    @ArchTest
    static final ArchRule has_no_mutable_statics = fields().that().areStatic().should().beFinal()
            .because("two applications in one process must not meet");

    @ArchTest
    static final ArchRule prints_nothing = noClasses()
            .should().accessField(System.class, "out").orShould().accessField(System.class, "err")
            .because("a library logs");
}
