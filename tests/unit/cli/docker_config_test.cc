#include "cli/docker_config.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "cli/progress.h"

namespace berth::cli {
namespace {

class DockerConfigTest : public testing::Test {
  protected:
    void SetUp() override { ::setenv("DOCKER_CONFIG", directory_.c_str(), 1); }
    void TearDown() override {
        ::unsetenv("DOCKER_CONFIG");
        remove_tree(directory_);
    }
    void write(const std::string& text) const {
        replace_file(directory_ + "/config.json", text, 0600, Durability::process);
    }
    std::string text() const { return read_file(directory_ + "/config.json"); }

    const std::string directory_ = [] {
        std::string name = "/tmp/berth-config-XXXXXX";
        return std::string(::mkdtemp(name.data()));
    }();
};

TEST(DockerNames, RegistriesHaveTheKeysThatDockerGivesThem) {
    EXPECT_EQ(registry_key(""), kHubKey);
    EXPECT_EQ(registry_key("https://index.docker.io/v1/"), kHubKey);
    EXPECT_EQ(registry_key("http://localhost:5000/v2/"), "localhost:5000");
    EXPECT_EQ(registry_of("alpine:3"), kHubKey);
    EXPECT_EQ(registry_of("docker.io/library/alpine"), kHubKey);
    EXPECT_EQ(registry_of("team/app"), kHubKey);
    EXPECT_EQ(registry_of("localhost/app"), "localhost");
    EXPECT_EQ(registry_of("[::1]:5000/app@sha256:0"), "[::1]:5000");
}

TEST(DockerNames, ATagIsSplitFromItsName) {
    EXPECT_EQ(split_tag("host:5000/a", Tags::one).tag, "latest");
    EXPECT_EQ(split_tag("host:5000/a:1", Tags::one).name, "host:5000/a");
    EXPECT_EQ(split_tag("a@sha256:0", Tags::one).name, "a@sha256:0");
    EXPECT_EQ(split_tag("a", Tags::all).tag, "");
    EXPECT_THROW(split_tag("a:1", Tags::all), Error);
}

TEST_F(DockerConfigTest, WhatWasStoredIsFoundAndTheRestIsKept) {
    write(R"({"psFormat":"x","auths":{"https://old.example/v1/":{"auth":"YTpi"}}})");
    DockerConfig config;
    EXPECT_EQ(config.find("old.example")->password, "b");
    EXPECT_FALSE(config.find("new.example"));
    config.store("new.example", {.username = "ann", .password = "", .identity_token = "token"});
    config.store("old.example", {.username = "a", .password = "c:d", .identity_token = ""});
    EXPECT_EQ(DockerConfig().find("new.example")->identity_token, "token");
    EXPECT_EQ(DockerConfig().find("old.example")->password, "c:d");
    EXPECT_NE(text().find("psFormat"), std::string::npos);
    EXPECT_EQ(text().find("https://old.example"), std::string::npos);
    EXPECT_TRUE(DockerConfig().erase("new.example"));
    EXPECT_FALSE(DockerConfig().erase("new.example"));
}

TEST_F(DockerConfigTest, ALinkedFileStaysALink) {
    replace_file(directory_ + "/real.json", "{}", 0600, Durability::process);
    std::filesystem::create_symlink("real.json", directory_ + "/config.json");
    DockerConfig().store("r.example", {.username = "a", .password = "b", .identity_token = ""});
    EXPECT_TRUE(std::filesystem::is_symlink(directory_ + "/config.json"));
    EXPECT_NE(read_file(directory_ + "/real.json").find("r.example"), std::string::npos);
}

TEST_F(DockerConfigTest, ADamagedFileIsNamed) {
    write("{");
    try {
        const DockerConfig config;
        FAIL();
    } catch (const Error& error) {
        EXPECT_TRUE(error.message().starts_with("reading " + directory_)) << error.message();
    }
}

TEST_F(DockerConfigTest, HelpersAreChosenByRegistryAndNamedWithCare) {
    write(R"({"credsStore":"all","credHelpers":{"r.example":"../evil"}})");
    const DockerConfig config;
    EXPECT_EQ(config.helper_of("other.example"), "all");
    EXPECT_THROW(config.find("r.example"), Error);
}

}  // namespace
}  // namespace berth::cli
