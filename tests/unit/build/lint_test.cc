#include "build/lint.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::build {
namespace {

using Texts = std::vector<std::string>;

/// "Rule 3: detail" of each warning.
Texts found(const std::string& text, const LintRequest& request = {}) {
    Texts texts;
    for (const LintWarning& warning : lint(parse_dockerfile(text), request))
        texts.push_back(warning.rule->name + (" " + std::to_string(warning.line)) + ": " +
                        warning.detail);
    return texts;
}

LintRequest with_environment(std::vector<std::string> environment) {
    LintRequest request;
    request.environment = [environment](const std::string&) { return environment; };
    return request;
}

TEST(Lint, a_good_dockerfile_has_no_warning) {
    EXPECT_EQ(found("ARG V=1\nFROM x:$V AS a\nENV K=v\nWORKDIR /w\nWORKDIR sub\nEXPOSE 80/tcp\n"
                    "CMD [\"a\"]\nFROM --platform=$BUILDPLATFORM a\n"),
              Texts());
}

TEST(Lint, casing_is_compared_with_the_majority) {
    EXPECT_EQ(found("FROM x\nRUN a\nrun b\n"),
              (Texts{"ConsistentInstructionCasing 3: Command 'run' should match the case of the "
                     "command majority (uppercase)"}));
    EXPECT_EQ(found("FROM x as y\n"),
              (Texts{"FromAsCasing 1: 'as' and 'FROM' keywords' casing do not match"}));
    EXPECT_EQ(found("FROM x AS Y\n"),
              (Texts{"StageNameCasing 1: Stage name 'Y' should be lowercase"}));
}

TEST(Lint, stages_have_names_of_their_own) {
    EXPECT_EQ(
        found("FROM x AS a\nFROM x AS a\nFROM x AS scratch\n"),
        (Texts{"DuplicateStageName 2: Duplicate stage name \"a\", stage names should be unique",
               "ReservedStageName 3: Stage name should not use the same name as reserved "
               "stage \"scratch\""}));
}

TEST(Lint, commands_for_the_shell_need_one_that_was_chosen) {
    EXPECT_EQ(found("FROM x\nENTRYPOINT a\n").size(), 1U);
    EXPECT_EQ(found("FROM x\nSHELL [\"bash\", \"-c\"]\nCMD a\n"), Texts());
    EXPECT_EQ(found("FROM x\nCMD [\"a\"]\nCMD [\"b\"]\n"),
              (Texts{"MultipleInstructionsDisallowed 2: Multiple CMD instructions should not be "
                     "used in the same stage because only the last one will be used"}));
}

TEST(Lint, undefined_variables_are_found_where_the_base_is_known) {
    const std::string text = "FROM x\nENV A=$PATH B=$NONE C=${D:-d} E='$F'\nCOPY $G /\n";
    EXPECT_EQ(found(text), Texts());
    EXPECT_EQ(found(text, with_environment({"PATH=/bin"})),
              (Texts{"UndefinedVar 2: Usage of undefined variable '$NONE'",
                     "UndefinedVar 3: Usage of undefined variable '$G'"}));
    EXPECT_EQ(found("FROM scratch AS a\nARG V\nFROM a\nLABEL l=$V m=$TARGETARCH n=$http_proxy\n"),
              Texts());
}

TEST(Lint, from_needs_declared_arguments_that_have_a_value) {
    EXPECT_EQ(found("FROM x:$V\n"),
              (Texts{"UndefinedArgInFrom 1: FROM argument 'V' is not declared",
                     "InvalidDefaultArgInFrom 1: Default value for ARG x:$V results in empty or "
                     "invalid base image name"}));
    EXPECT_EQ(found("ARG V\nFROM ${V:-x}\n"), Texts());
}

TEST(Lint, platforms_are_no_constants) {
    EXPECT_EQ(found("FROM --platform=linux/amd64 x\n").size(), 1U);
    EXPECT_EQ(found("FROM --platform=linux/amd64 x AS for-amd64\n"), Texts());
    EXPECT_EQ(found("FROM --platform=$TARGETPLATFORM x\n"),
              (Texts{"RedundantTargetPlatform 1: Setting platform to predefined $TARGETPLATFORM in "
                     "FROM is redundant as this is the default behavior"}));
}

TEST(Lint, secrets_are_found_by_their_names) {
    EXPECT_EQ(found("FROM x\nARG GITHUB_TOKEN\nENV KEYBOARD=1 PUBLIC_KEY=2\n"),
              (Texts{"SecretsUsedInArgOrEnv 2: Do not use ARG or ENV instructions for sensitive "
                     "data (ARG \"GITHUB_TOKEN\")"}));
}

TEST(Lint, old_forms_are_found) {
    EXPECT_EQ(found("FROM x\nMAINTAINER me\nENV a b\nWORKDIR w\nEXPOSE 80/TCP\nRUN a \\\n\n b\n"),
              (Texts{"NoEmptyContinuation 8: Empty continuation line",
                     "MaintainerDeprecated 2: Maintainer instruction is deprecated in favor of "
                     "using label",
                     "LegacyKeyValueFormat 3: \"ENV key=value\" should be used instead of legacy "
                     "\"ENV key value\" format",
                     "WorkdirRelativePath 4: Relative workdir \"w\" can have unexpected results if "
                     "the base image changes",
                     "ExposeProtoCasing 5: Defined protocol '80/TCP' in EXPOSE instruction should "
                     "be lowercase"}));
}

TEST(Lint, rules_can_be_left_out) {
    LintRequest request;
    request.settings = lint_settings("skip=jsonargsrecommended, StageNameCasing ;error=true");
    EXPECT_TRUE(request.settings.is_error);
    EXPECT_EQ(found("FROM x AS Y\nCMD a\n", request), Texts());
    EXPECT_TRUE(lint_settings("skip=all").skips_all);
    EXPECT_THROW(lint_settings("odd=1"), Error);
    EXPECT_THROW(lint_settings("odd"), Error);
}

}  // namespace
}  // namespace berth::build
