#include "api/router.h"

#include <gtest/gtest.h>

#include "api/routes.h"

namespace berth::api {
namespace {

async::Task<> one(Call&) { co_return; }
async::Task<> two(Call&) { co_return; }

TEST(Router, unknown_path_and_wrong_method_are_alike) {
    Router router;
    router.add("GET", "/version", one);
    EXPECT_TRUE(router.find("GET", "/version"));
    EXPECT_FALSE(router.find("POST", "/version"));
    EXPECT_FALSE(router.find("GET", "/versions"));
    EXPECT_FALSE(router.find("GET", "/version/"));
}

TEST(CleanPath, has_no_empty_parts_and_no_dots) {
    EXPECT_EQ(clean_path("/v1.45/info"), "/v1.45/info");
    EXPECT_EQ(clean_path("//v1.45//info"), "/v1.45/info");
    EXPECT_EQ(clean_path("/containers/../info/"), "/info/");
    EXPECT_EQ(clean_path("/../.."), "/");
    EXPECT_EQ(clean_path(""), "/");
}

TEST(Router, segment_variable_takes_no_slash) {
    Router router;
    router.add("GET", "/containers/{name}/json", one);
    EXPECT_EQ(router.find("GET", "/containers/web/json")->name, "web");
    EXPECT_FALSE(router.find("GET", "/containers/a/b/json"));
    EXPECT_FALSE(router.find("GET", "/containers//json"));
}

TEST(Router, greedy_variable_takes_slashes_and_the_suffix_last) {
    Router router;
    router.add("GET", "/images/{name...}/json", one);
    router.add("GET", "/images/json", two);
    EXPECT_EQ(router.find("GET", "/images/localhost:5000/a/b@sha256:1/json")->name,
              "localhost:5000/a/b@sha256:1");
    EXPECT_EQ(router.find("GET", "/images/json/json")->name, "json");
    EXPECT_EQ(router.find("GET", "/images/json")->handler, &two);
}

TEST(Router, longer_suffix_wins) {
    Router router;
    router.add("GET", "/images/{name...}/json", one);
    router.add("POST", "/images/{name...}/tag", one);
    router.add("DELETE", "/images/{name...}", two);
    EXPECT_EQ(router.find("DELETE", "/images/a/json")->name, "a/json");
    EXPECT_EQ(router.find("POST", "/images/a/b/tag")->name, "a/b");
}

TEST(Router, fixed_path_wins_over_a_variable) {
    Router router;
    router.add("GET", "/volumes/{name}", one);
    router.add("GET", "/volumes/create", two);
    EXPECT_EQ(router.find("GET", "/volumes/create")->handler, &two);
    EXPECT_EQ(router.find("GET", "/volumes/x")->handler, &one);
}

TEST(Router, inactive_swarm_is_known) {
    Router router;
    add_unserved_routes(router);
    for (const char* path : {"/swarm", "/nodes", "/services", "/tasks", "/secrets/x", "/configs"})
        EXPECT_TRUE(router.find("GET", path)) << path;
    EXPECT_TRUE(router.find("POST", "/plugins/pull"));
    EXPECT_FALSE(router.find("GET", "/nothing"));
}

}  // namespace
}  // namespace berth::api
