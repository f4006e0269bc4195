#include "buildkit/subrequest.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace berth::buildkit {
namespace {

nlohmann::json ask(const std::string& name, const std::string& text) {
    Subrequest request;
    request.name = name;
    request.filename = "Dockerfile";
    request.text = text;
    request.arguments = {{"GIVEN", "by hand"}};
    return nlohmann::json::parse(answer(request).at("result.json"));
}

TEST(Subrequest, targets_are_the_stages_with_their_descriptions) {
    const auto told = ask("frontend.targets", "# a makes it\nFROM x AS a\n\nFROM a\n");
    ASSERT_EQ(told["targets"].size(), 2U);
    EXPECT_EQ(told["targets"][0]["name"], "a");
    EXPECT_EQ(told["targets"][0]["description"], "makes it");
    EXPECT_EQ(told["targets"][1]["base"], "a");
    EXPECT_TRUE(told["targets"][1]["default"]);
    EXPECT_EQ(told["targets"][1]["location"]["ranges"][0]["start"]["line"], 4);
}

TEST(Subrequest, an_outline_has_what_the_target_takes) {
    const auto told = ask("frontend.outline",
                          "ARG BASE=b\nFROM $BASE AS a\nARG GIVEN=no\n"
                          "RUN --mount=type=cache,target=/c --mount=type=ssh x\n"
                          "FROM x AS other\nARG UNSEEN\nFROM a\nARG BASE\n");
    std::map<std::string, std::string> arguments;
    for (const auto& arg : told["args"]) arguments[arg["name"]] = arg["value"];
    EXPECT_EQ(arguments, (std::map<std::string, std::string>{{"BASE", "b"}, {"GIVEN", "by hand"}}));
    EXPECT_EQ(told["cache"][0]["ID"], "/c");
    EXPECT_EQ(told["ssh"][0]["name"], "default");
}

TEST(Subrequest, a_check_tells_its_status) {
    Subrequest request;
    request.name = "frontend.lint";
    request.text = "FROM x\nCMD a\n";
    EXPECT_EQ(answer(request).at("result.statuscode"), "1");
    request.lint.settings =
        lint_settings(build::parse_dockerfile("# check=skip=all\nFROM x\n"), {});
    EXPECT_EQ(answer(request).at("result.statuscode"), "0");
}

TEST(Subrequest, another_one_is_refused_by_name) {
    Subrequest request;
    request.name = "frontend.odd";
    request.text = "FROM x\n";
    EXPECT_THROW(answer(request), Error);
    request.name = "frontend.subrequests.describe";
    EXPECT_EQ(nlohmann::json::parse(answer(request).at("result.json")).size(), 3U);
}

}  // namespace
}  // namespace berth::buildkit
