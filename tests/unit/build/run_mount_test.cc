#include "build/run_mount.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace berth::build {
namespace {

RunMount parse(const std::string& text) {
    const Instruction run =
        parse_instruction({.text = "RUN --mount=" + text + " true", .number = 1}, '\\');
    const Lookup lookup = [](const std::string& name) -> std::optional<std::string> {
        if (name == "DIR") return "/dir";
        return std::nullopt;
    };
    return parse_run_mount(std::get<Run>(run.what).mounts.front(), lookup, '\\', "/work");
}

std::string failure_of(const std::string& text) {
    try {
        parse(text);
    } catch (const Error& error) {
        return error.message();
    }
    return "";
}

TEST(RunMount, IsAReadOnlyBindUnlessItSaysOtherwise) {
    const RunMount mount = parse("target=/x,src=a");
    EXPECT_EQ(mount.type, RunMountType::bind);
    EXPECT_EQ(mount.source, "a");
    EXPECT_TRUE(mount.read_only);
    EXPECT_FALSE(parse("target=/x,rw").read_only);
}

TEST(RunMount, NamesAnAgentAndNeedsNoTarget) {
    const RunMount mount = parse("type=ssh");
    EXPECT_EQ(mount.id, "default");
    EXPECT_EQ(mount.target, "");
    const RunMount other = parse("type=ssh,id=work,target=/agent,mode=0666,uid=7,required");
    EXPECT_EQ(other.id, "work");
    EXPECT_EQ(other.target, "/agent");
    EXPECT_EQ(other.mode, 0666U);
    EXPECT_TRUE(other.required);
    EXPECT_NE(failure_of("type=ssh,source=/x").find("unexpected key"), std::string::npos);
}

TEST(RunMount, NamesACacheByItsTarget) {
    const RunMount mount = parse("type=cache,target=${DIR}/c,sharing=locked,mode=0700,uid=5");
    EXPECT_EQ(mount.id, "/dir/c");
    EXPECT_EQ(mount.target, "/dir/c");
    EXPECT_EQ(mount.sharing, CacheSharing::locked);
    EXPECT_EQ(mount.mode, 0700U);
    EXPECT_EQ(mount.uid, 5U);
    EXPECT_FALSE(mount.read_only);
    EXPECT_EQ(mount.text, "type=cache,target=/dir/c,sharing=locked,mode=0700,uid=5");
}

TEST(RunMount, TakesARelativeTargetOfTheWorkingDirectory) {
    EXPECT_EQ(parse("type=tmpfs,target=x/../y").target, "/work/y");
}

TEST(RunMount, PutsASecretWhereDockerDoes) {
    EXPECT_EQ(parse("type=secret,id=word").target, "/run/secrets/word");
    EXPECT_EQ(parse("type=secret,target=/a/word").id, "word");
    const RunMount variable = parse("type=secret,id=word,env=WORD,required");
    EXPECT_EQ(variable.target, "");
    EXPECT_EQ(variable.variable, "WORD");
    EXPECT_TRUE(variable.required);
}

TEST(RunMount, ReadsSizesInBinaryMultiples) {
    EXPECT_EQ(parse("type=tmpfs,target=/t,size=64m").size, 64 << 20);
    EXPECT_EQ(parse("type=tmpfs,target=/t,size=1GiB").size, 1 << 30);
    EXPECT_EQ(parse("type=tmpfs,target=/t,size=100").size, 100);
    EXPECT_NE(failure_of("type=tmpfs,target=/t,size=many"), "");
}

TEST(RunMount, RefusesWhatBuildKitRefuses) {
    EXPECT_EQ(failure_of("type=wrong,target=/x"), "unsupported mount type \"wrong\"");
    EXPECT_EQ(failure_of("type=cache,target=/x,sharing=all"), "unsupported sharing value \"all\"");
    EXPECT_EQ(failure_of("target=/x,uid=4"), "unexpected key 'uid' in 'target=/x,uid=4'");
    EXPECT_EQ(failure_of("type=secret"), "invalid secret mount. one of source, target required");
    EXPECT_EQ(failure_of("type=tmpfs"), "target required in 'type=tmpfs'");
    EXPECT_EQ(failure_of("type=tmpfs,target=/"), "invalid mount target \"/\"");
    EXPECT_EQ(failure_of("from=$A,target=/x"),
              "'from' doesn't support variable expansion, define alias stage instead");
}

}  // namespace
}  // namespace berth::build
