#include "build/dockerfile.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "build/config.h"

namespace berth::build {
namespace {

struct Refusal final {
    const char* text;
    const char* error;
};

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, WithDockersText) {
    EXPECT_EQ(failure_text([] { parse_dockerfile(GetParam().text); }), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Dockerfiles, Refused,
    ::testing::Values(
        Refusal{"", "file with no instructions"}, Refusal{"# only\n", "file with no instructions"},
        Refusal{"FROM a\nFOO x", "dockerfile parse error on line 2: unknown instruction: FOO"},
        Refusal{"RUN x\nFROM a",
                "dockerfile parse error on line 1: no build stage in current context"},
        Refusal{"ARG A", "no build stage in current context"},
        Refusal{"FROM a b",
                "dockerfile parse error on line 1: FROM requires either one or three arguments"},
        Refusal{"FROM a AS 1x",
                "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name "
                "can't start with a number or contain symbols"},
        Refusal{"FROM a\n\nCOPY x",
                "dockerfile parse error on line 3: COPY requires at least two arguments, but only "
                "one was provided. Destination could not be determined"},
        Refusal{"FROM a\nENV x", "dockerfile parse error on line 2: ENV must have two arguments"},
        Refusal{"FROM a\nENV a=b c",
                "dockerfile parse error on line 2: Syntax error - can't find = in \"c\". Must be "
                "of the form: name=value"},
        Refusal{"FROM a\nCOPY --frm=x a b",
                "dockerfile parse error on line 2: unknown flag: --frm"},
        Refusal{"FROM a\nCOPY --from=x --from=y a b",
                "dockerfile parse error on line 2: duplicate flag specified: --from"},
        Refusal{"FROM a\nONBUILD FROM b",
                "dockerfile parse error on line 2: FROM isn't allowed as an ONBUILD trigger"},
        Refusal{"FROM a\nHEALTHCHECK CMD",
                "dockerfile parse error on line 2: Missing command after HEALTHCHECK CMD"},
        Refusal{
            "FROM a\nSHELL /bin/sh",
            "dockerfile parse error on line 2: SHELL requires the arguments to be in JSON form"},
        Refusal{"FROM a\nRUN <<EOF\nx", "dockerfile parse error on line 2: unterminated heredoc"},
        Refusal{"# escape=x\nFROM a", "invalid ESCAPE token 'x' does not match ` or \\"}));

std::vector<std::string> texts(const Dockerfile& file) {
    std::vector<std::string> result;
    for (const Stage& stage : file.stages)
        for (const Instruction& instruction : stage.instructions)
            result.push_back(instruction.text);
    return result;
}

TEST(Dockerfile, JoinsContinuedLines) {
    const Dockerfile file = parse_dockerfile(
        "\xEF\xBB\xBF# c\nfrom a\nRUN one \\\n# between\n  two \\\n\n three\n  ENV a=b\r\n");
    EXPECT_EQ(texts(file), (std::vector<std::string>{"RUN one   two  three", "ENV a=b"}));
    EXPECT_EQ(file.stages[0].instructions[1].line, 8);
    EXPECT_EQ(file.warnings.size(), 1U);
}

TEST(Dockerfile, KnowsTheEscapeDirective) {
    const Dockerfile file = parse_dockerfile("# escape=`\nFROM a\nRUN x `\ny C:\\\nWORKDIR /z");
    EXPECT_EQ(texts(file), (std::vector<std::string>{"RUN x y C:\\", "WORKDIR /z"}));
    EXPECT_EQ(parse_dockerfile("# syntax=docker/dockerfile:1\nFROM a").syntax,
              "docker/dockerfile:1");
    // After any other line it is a comment.
    EXPECT_EQ(parse_dockerfile("\n# escape=`\nFROM a").escape, '\\');
}

TEST(Dockerfile, KeepsTheHeredocOfATrigger) {
    const Dockerfile file = parse_dockerfile("FROM a\nONBUILD RUN <<EOF\necho hello\nEOF\n");
    const auto& trigger = std::get<OnBuild>(file.stages[0].instructions[0].what);
    const Instruction run = parse_trigger(trigger.instruction);
    EXPECT_EQ(std::get<build::Run>(run.what).heredocs.at(0).content, "echo hello\n");
}

TEST(Dockerfile, ReadsHeredocs) {
    const Dockerfile file = parse_dockerfile(
        "FROM a\nCOPY <<-\"A\" <<B /x/\n\t$one\n\tA\ntwo\nB\nRUN cat <<E\nfoo\nE\nUSER u");
    const auto& copy = std::get<Copy>(file.stages[0].instructions[0].what);
    ASSERT_EQ(copy.heredocs.size(), 2U);
    EXPECT_EQ(copy.heredocs[0].content, "$one\n");
    EXPECT_FALSE(copy.heredocs[0].expand);
    EXPECT_EQ(copy.heredocs[1].content, "two\n");
    EXPECT_EQ(std::get<build::Run>(file.stages[0].instructions[1].what).heredocs[0].content,
              "foo\n");
    EXPECT_EQ(file.stages[0].instructions[2].line, 10);
}

TEST(Dockerfile, FindsStages) {
    const Dockerfile file = parse_dockerfile("FROM a AS Base\nFROM base AS two\nFROM two");
    EXPECT_EQ(find_stage(file, "BASE", 2), 0U);
    EXPECT_EQ(find_stage(file, "1", 2), 1U);
    EXPECT_FALSE(find_stage(file, "2", 2));
    EXPECT_EQ(target_stage(file, ""), 2U);
    EXPECT_EQ(failure_text([&] { target_stage(file, "no"); }),
              "failed to reach build target no in Dockerfile");
}

TEST(Dockerfile, ReadsFlags) {
    const Dockerfile file = parse_dockerfile(
        "FROM --platform=linux/arm64 a\nCOPY --from=b --chown=u:g --link a b c/\n"
        "RUN --mount=type=cache,target=/c --network=none [\"x\", \"y z\"]\nADD [\"a b\", \"/\"]");
    EXPECT_EQ(file.stages[0].from.platform, "linux/arm64");
    const auto& copy = std::get<Copy>(file.stages[0].instructions[0].what);
    EXPECT_EQ(copy.sources, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(copy.owner, "u:g");
    EXPECT_TRUE(copy.link);
    const auto& run = std::get<build::Run>(file.stages[0].instructions[1].what);
    EXPECT_EQ(run.mounts.at(0).at(1).second, "/c");
    EXPECT_EQ(run.command.words, (std::vector<std::string>{"x", "y z"}));
    EXPECT_EQ(std::get<Copy>(file.stages[0].instructions[2].what).sources.at(0), "a b");
}

struct Comment final {
    const char* instruction;
    const char* history;
};

class History : public ::testing::TestWithParam<Comment> {};

TEST_P(History, TellsItAsDockerDoes) {
    const Dockerfile file = parse_dockerfile(std::string("FROM a\n") + GetParam().instruction);
    StageConfig stage;
    stage.config.env = {"V=val"};
    const auto lookup = [](const std::string& name) {
        return name == "V" ? std::optional<std::string>("val") : std::nullopt;
    };
    EXPECT_EQ(apply(stage, file.stages[0].instructions[0], lookup, '\\'), GetParam().history);
}

INSTANTIATE_TEST_SUITE_P(
    Instructions, History,
    ::testing::Values(
        Comment{"CMD echo $V", "CMD [\"/bin/sh\" \"-c\" \"echo $V\"]"},
        Comment{"CMD [\"a\", \"b\"]", "CMD [\"a\" \"b\"]"},
        Comment{"ENTRYPOINT [\"a\"]", "ENTRYPOINT [\"a\"]"},
        Comment{"ENV a=$V b='x y'", "ENV a=val b=x y"}, Comment{"ENV a b c", "ENV a=b c"},
        Comment{"LABEL a=\"b c\"", "LABEL a=b c"}, Comment{"EXPOSE 80 90/udp", "EXPOSE 80 90/udp"},
        Comment{"VOLUME /a /$V", "VOLUME [/a /val]"}, Comment{"WORKDIR /a/../b", "WORKDIR /b"},
        Comment{"USER $V", "USER val"}, Comment{"STOPSIGNAL 9", "STOPSIGNAL 9"},
        Comment{"SHELL [\"/bin/bash\", \"-c\"]", "SHELL [/bin/bash -c]"},
        Comment{"MAINTAINER me <m@x>", "MAINTAINER me <m@x>"},
        Comment{"ONBUILD RUN x", "ONBUILD RUN x"},
        Comment{"HEALTHCHECK --interval=90s --retries=3 CMD x",
                "HEALTHCHECK &{[\"CMD-SHELL\" \"x\"] \"1m30s\" \"0s\" \"0s\" \"0s\" '\\x03'}"},
        Comment{"HEALTHCHECK NONE",
                "HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x00'}"}));

TEST(StageConfig, EntrypointDropsAnInheritedCommandOnly) {
    StageConfig stage;
    stage.config.cmd = {"inherited"};
    const Dockerfile file = parse_dockerfile("FROM a\nENTRYPOINT x\nCMD y\nENTRYPOINT z");
    const Lookup none = [](const std::string&) { return std::nullopt; };
    const auto& list = file.stages[0].instructions;
    apply(stage, list[0], none, '\\');
    EXPECT_FALSE(stage.config.cmd);
    apply(stage, list[1], none, '\\');
    apply(stage, list[2], none, '\\');
    EXPECT_EQ(stage.config.cmd->back(), "y");
}

}  // namespace
}  // namespace berth::build
