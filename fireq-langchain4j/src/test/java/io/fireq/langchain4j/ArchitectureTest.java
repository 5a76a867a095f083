package io.fireq.langchain4j;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.fields;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import io.fireq.engine.FireqEngines;

@AnalyzeClasses(packages = "io.fireq.langchain4j", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
    private static final DescribedPredicate<JavaClass> INNARDS_OF_THE_ENGINE = resideInAPackage("io.fireq..")
            .and(DescribedPredicate.not(resideInAPackage("io.fireq.langchain4j")))
            .and(DescribedPredicate.not(resideInAPackage("io.fireq.engine.api")))
            .and(DescribedPredicate.not(resideInAPackage("io.fireq.engine.chat")))
            .and(DescribedPredicate.not(DescribedPredicate.describe("FireqEngines",
                    type -> type.isEquivalentTo(FireqEngines.class))))
            .as("innards of the engine");

    @ArchTest
    static final ArchRule uses_only_the_public_face_of_the_engine = noClasses()
            .should().dependOnClassesThat(INNARDS_OF_THE_ENGINE)
            .because("the engine must be free to change everything but its api, its chat format and how it is opened");

    @ArchTest
    static final ArchRule knows_no_application_framework = noClasses()
            .should().dependOnClassesThat().resideInAnyPackage("org.springframework..", "io.quarkus..", "jakarta..")
            .because("the models are used without a framework too");

    @ArchTest
    static final ArchRule public_types_are_final = classes().that().arePublic().and().areNotInterfaces()
            .should().haveModifier(JavaModifier.FINAL)
            .because("extension is by LangChain4j's interfaces, not by inheritance");

    @ArchTest
    static final ArchRule has_no_mutable_statics = fields().that().areStatic().should().beFinal()
            .because("two engines in one process must not meet");

    @ArchTest
    static final ArchRule prints_nothing = noClasses()
            .should().accessField(System.class, "out").orShould().accessField(System.class, "err")
            .because("a library logs");

    @ArchTest
    static final ArchRule public_types_carry_the_name = classes().that().arePublic().and().areTopLevelClasses()
            .should().haveSimpleNameStartingWith("Fireq")
            .because("they meet LangChain4j's own types of the same role in every import list");
}
