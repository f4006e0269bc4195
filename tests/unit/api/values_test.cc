#include <gtest/gtest.h>

#include <climits>

#include "api/call.h"
#include "api/errors.h"
#include "api/parameters.h"
#include "api/version.h"
#include "base/error.h"

namespace berth::api {
namespace {

TEST(Version, prefix_is_taken_off_the_path) {
    const auto versioned = split_version("/v1.43/containers/json");
    EXPECT_EQ(versioned.version, (ApiVersion{1, 43}));
    EXPECT_EQ(versioned.path, "/containers/json");
}

TEST(Version, path_without_prefix_is_of_the_newest) {
    for (const char* path : {"/version", "/volumes", "/v/x", "/v1.43x/y", "/v1.43"}) {
        EXPECT_EQ(split_version(path).version, kNewest) << path;
        EXPECT_EQ(split_version(path).path, path);
    }
}

TEST(Version, minor_numbers_compare_as_numbers) {
    EXPECT_LT(ApiVersion::parse("1.9"), ApiVersion::parse("1.24"));
    EXPECT_EQ(ApiVersion::parse("1.24").str(), "1.24");
    EXPECT_LT(kNewest, ApiVersion::parse("1.9999999999999999999"));
}

TEST(Version, compose_1_gets_the_shapes_that_it_knows) {
    const char* compose = "docker-compose/1.29.2 docker-py/5.0.3 Linux/6.1";
    EXPECT_EQ(shape_for(compose, kNewest), (ApiVersion{1, 44}));
    EXPECT_EQ(shape_for(compose, {1, 38}), (ApiVersion{1, 38}));
    EXPECT_EQ(shape_for("docker-sdk-python/7.1.0", kNewest), kNewest);
}

TEST(Version, versions_outside_the_range_are_refused_with_dockers_texts) {
    EXPECT_NO_THROW(check_version({1, 24}));
    EXPECT_NO_THROW(check_version({1, 51}));
    EXPECT_EQ(failure_text([] {
                  check_version({1, 23});
              }),
              "client version 1.23 is too old. Minimum supported API version is 1.24, please "
              "upgrade your client to a newer version");
    EXPECT_EQ(failure_text([] {
                  check_version({1, 52});
              }),
              "client version 1.52 is too new. Maximum supported API version is 1.51");
}

TEST(Boolean, dockers_words_for_false) {
    for (const char* text : {"", "0", "no", "No", "FALSE", "none", " false "})
        EXPECT_FALSE(is_true(text)) << text;
    for (const char* text : {"1", "true", "True", "yes", "2", "f"}) EXPECT_TRUE(is_true(text));
}

TEST(Boolean, absent_is_the_fallback_and_empty_is_false) {
    const auto query = http::Query::parse("a=&b=1");
    EXPECT_TRUE(boolean(query, "absent", true));
    EXPECT_FALSE(boolean(query, "a", true));
    EXPECT_TRUE(boolean(query, "b"));
}

TEST(Integer, bad_numbers_are_refused) {
    const auto query = http::Query::parse("a=12&b=x&c=-1&d=1x&e=");
    EXPECT_EQ(integer(query, "a"), 12);
    EXPECT_EQ(integer(query, "c"), -1);
    EXPECT_FALSE(integer(query, "e"));
    EXPECT_FALSE(integer(query, "f"));
    EXPECT_THROW(integer(query, "b"), Error);
    EXPECT_THROW(integer(query, "d"), Error);
    EXPECT_THROW(terminal_size(query, "c"), Error);
    EXPECT_THROW(terminal_size(query, "f"), Error);
}

TEST(Integer, what_no_int_holds_is_its_end) {
    const auto query = http::Query::parse("a=4294967297&b=-9223372036854775808&c=7");
    EXPECT_EQ(small_integer(query, "a"), INT_MAX);
    EXPECT_EQ(small_integer(query, "b"), INT_MIN);
    EXPECT_EQ(small_integer(query, "c"), 7);
    EXPECT_FALSE(small_integer(query, "d"));
}

TEST(Boolean, a_strict_one_takes_the_words_of_go_only) {
    const auto query = http::Query::parse("a=T&b=0&c=junk&d=");
    EXPECT_TRUE(strict_boolean(query, "a"));
    EXPECT_FALSE(strict_boolean(query, "b"));
    EXPECT_FALSE(strict_boolean(query, "d"));
    EXPECT_FALSE(strict_boolean(query, "e"));
    EXPECT_EQ(failure_text([&] { strict_boolean(query, "c"); }),
              "invalid value for c: junk: strconv.ParseBool: parsing \"junk\": invalid syntax");
}

TEST(Platform, each_of_several_is_read) {
    const auto query = http::Query::parse(
        R"(p={"os":"linux","architecture":"amd64"}&p={"os":"linux","architecture":"arm","variant":"v7"}&q=junk)");
    EXPECT_EQ(platforms(query, "p"), (std::vector<std::string>{"linux/amd64", "linux/arm/v7"}));
    EXPECT_TRUE(platforms(query, "r").empty());
    EXPECT_THROW(platforms(query, "q"), Error);
}

TEST(ContentType, json_with_parameters_is_accepted) {
    EXPECT_NO_THROW(check_json_content_type("application/json; charset=utf-8"));
    EXPECT_EQ(failure_text([] { check_json_content_type("text/plain"); }),
              "unsupported Content-Type header (text/plain): must be 'application/json'");
}

TEST(Errors, each_kind_has_its_status) {
    EXPECT_EQ(status_of(ErrorKind::not_found), 404);
    EXPECT_EQ(status_of(ErrorKind::conflict), 409);
    EXPECT_EQ(status_of(ErrorKind::invalid), 400);
    EXPECT_EQ(status_of(ErrorKind::denied), 403);
    EXPECT_EQ(status_of(ErrorKind::unauthorized), 401);
    EXPECT_EQ(status_of(ErrorKind::unavailable), 503);
    EXPECT_EQ(status_of(ErrorKind::unsupported), 501);
    EXPECT_EQ(status_of(ErrorKind::not_modified), 304);
    EXPECT_EQ(status_of(ErrorKind::internal), 500);
}

TEST(Errors, body_is_json_without_html_escapes) {
    const auto response = error_response(Error(ErrorKind::not_found, "No such image: <a&b>"));
    EXPECT_EQ(response.body, "{\"message\":\"No such image: <a&b>\"}\n");
    EXPECT_EQ(response.headers.get("Content-Type"), "application/json");
}

TEST(Errors, not_modified_has_no_body) {
    EXPECT_EQ(error_response(Error(ErrorKind::not_modified, "already")).body, "");
}

TEST(Streams, multiplexed_type_exists_from_1_42_on) {
    EXPECT_EQ(stream_content_type({1, 41}, Framing::multiplexed),
              "application/vnd.docker.raw-stream");
    EXPECT_EQ(stream_content_type({1, 42}, Framing::multiplexed),
              "application/vnd.docker.multiplexed-stream");
    EXPECT_EQ(stream_content_type({1, 51}, Framing::raw), "application/vnd.docker.raw-stream");
}

TEST(Streams, hijack_head_answers_an_upgrade_or_a_plain_request) {
    http::Request request;
    EXPECT_EQ(hijack_head(request, "x/multiplexed", {}),
              "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
    request.headers.add("Connection", "Upgrade");
    request.headers.add("Upgrade", "tcp");
    EXPECT_EQ(hijack_head(request, "x/multiplexed", {}),
              "HTTP/1.1 101 UPGRADED\r\nContent-Type: x/multiplexed\r\nConnection: "
              "Upgrade\r\nUpgrade: tcp\r\n\r\n");
}

TEST(Parameters, platform_is_an_object_of_json) {
    const auto given = [](const std::string& text) {
        return platform(http::Query::parse("platform=" + text));
    };
    EXPECT_EQ(platform({}), "");
    EXPECT_EQ(given(R"({"os":"linux","architecture":"arm64"})"), "linux/arm64");
    EXPECT_EQ(given(R"({"os":"linux","architecture":"arm","variant":"v7"})"), "linux/arm/v7");
    EXPECT_EQ(failure_text([&] { given(R"({"os":"linux"})"); }),
              "failed to parse platform: both OS and Architecture must be provided");
    EXPECT_NE(failure_text([&] { given("linux/arm64"); }), "");
}

}  // namespace
}  // namespace berth::api
