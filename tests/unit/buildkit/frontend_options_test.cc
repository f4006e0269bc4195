#include "buildkit/frontend_options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace berth::buildkit {
namespace {

SolveRequest solve(Attributes options) {
    SolveRequest request;
    request.frontend = "dockerfile.v0";
    request.options = std::move(options);
    return request;
}

TEST(FrontendOptions, what_buildx_sends_is_understood) {
    const auto options =
        frontend_options(solve({{"filename", "Other"},
                                {"target", "final"},
                                {"build-arg:A", "b=c"},
                                {"label:l", "v"},
                                {"no-cache", ""},
                                {"image-resolve-mode", "pull"},
                                {"force-network-mode", "host"},
                                {"add-hosts", "a=1.2.3.4,b=::1"},
                                {"shm-size", "1048576"},
                                {"ulimit", "nofile=10:20,core=0"},
                                {"attest:provenance", "mode=min,inline-only=true"}}));
    EXPECT_EQ(options.filename, "Other");
    EXPECT_EQ(options.request.target, "final");
    EXPECT_EQ(options.request.arguments.at("A"), "b=c");
    EXPECT_EQ(options.request.labels.at("l"), "v");
    EXPECT_TRUE(options.request.no_cache);
    EXPECT_TRUE(options.request.pull);
    EXPECT_EQ(options.request.host.network_mode, "host");
    EXPECT_EQ(options.request.host.extra_hosts, (std::vector<std::string>{"a:1.2.3.4", "b:::1"}));
    EXPECT_EQ(options.request.host.shm_size, 1048576);
    ASSERT_EQ(options.request.host.ulimits.size(), 2U);
    EXPECT_EQ(options.request.host.ulimits[0].hard, 20);
    EXPECT_EQ(options.request.host.ulimits[1].hard, 0);
}

TEST(FrontendOptions, an_upload_is_a_context) {
    EXPECT_EQ(frontend_options(solve({{"context", "http://buildkit-session/abc"}})).upload, "abc");
}

TEST(FrontendOptions, an_archive_of_a_server_is_a_context) {
    const std::string url = "https://example.org/x.tar.gz?v=1";
    EXPECT_EQ(frontend_options(solve({{"context", url}})).url, url);
}

TEST(FrontendOptions, named_contexts_and_repositories_are_taken) {
    SolveRequest request = solve({{"context", "https://example.org/x.git#v1"},
                                  {"dockerfilekey", "dockerfile"},
                                  {"context:base", "docker-image://alpine"},
                                  {"context:other", "input:0-made"},
                                  {"build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR", "1"},
                                  {"no-cache", "One,two"}});
    request.inputs = {{"0-made", "sha256:1"}};
    const auto options = frontend_options(request);
    EXPECT_EQ(options.url, "https://example.org/x.git#v1");
    EXPECT_TRUE(options.dockerfile_apart);
    EXPECT_TRUE(options.keep_git_directory);
    EXPECT_EQ(options.contexts.at("base"), "docker-image://alpine");
    EXPECT_EQ(options.inputs.at("0-made"), "sha256:1");
    EXPECT_FALSE(options.request.no_cache);
    EXPECT_EQ(options.request.uncached_stages, (std::set<std::string>{"one", "two"}));
}

TEST(FrontendOptions, a_result_comes_back_as_an_input) {
    const std::string input = grpc::WireWriter()
                                  .text(1, "0-made")
                                  .message(2, encode_result_definition("sha256:abc"))
                                  .take();
    const SolveRequest request = decode_bridge_solve(grpc::WireWriter().message(13, input).take());
    EXPECT_EQ(request.inputs.at("0-made"), "sha256:abc");
    EXPECT_FALSE(request.has_definition);
}

TEST(FrontendOptions, what_would_build_something_else_is_refused) {
    for (const Attributes& options :
         {Attributes{{"context", "/somewhere"}},
          Attributes{{"context", "git://host/x#--upload-pack=y"}},
          Attributes{{"platform", "linux/amd64,linux/arm64"}}, Attributes{{"ulimit", "nofile"}},
          Attributes{{"shm-size", "much"}}})
        EXPECT_THROW(frontend_options(solve(options)), Error) << options.begin()->first;
    SolveRequest other = solve({{"source", "tonistiigi/buildpack"}});
    other.frontend = "gateway.v0";
    EXPECT_THROW(frontend_options(other), Error);
}

TEST(FrontendOptions, caches_are_images_wherever_a_client_names_them) {
    SolveRequest request = solve({});
    request.cache_imports = {{"registry", {{"ref", "r/a"}}}, {"local", {{"src", "d"}}}};
    const auto options = frontend_options(request);
    EXPECT_EQ(options.request.cache_from, (std::vector<std::string>{"r/a"}));
    EXPECT_EQ(options.warnings.size(), 1U);
    const auto as_text = frontend_options(
        solve({{"cache-imports", R"([{"Type":"registry","Attrs":{"ref":"r/b"}}])"}}));
    EXPECT_EQ(as_text.request.cache_from, (std::vector<std::string>{"r/b"}));
    EXPECT_EQ(frontend_options(solve({{"requestid", "frontend.lint"}})).subrequest,
              "frontend.lint");
}

TEST(FrontendOptions, a_dockerfile_frontend_image_is_the_built_in_one) {
    SolveRequest request = solve({{"source", "docker/dockerfile:1"}});
    request.frontend = "gateway.v0";
    EXPECT_EQ(frontend_options(request).filename, "Dockerfile");
}

TEST(IgnorePatterns, are_clean_and_without_comments) {
    EXPECT_EQ(ignore_patterns("# all\n\n *.o \n/build/\r\n!build/keep\n./a/../b\n/\n"),
              (std::vector<std::string>{"*.o", "build", "!build/keep", "b", "."}));
}

}  // namespace
}  // namespace berth::buildkit
