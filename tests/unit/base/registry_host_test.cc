#include "base/registry_host.h"

#include <gtest/gtest.h>

namespace berth {
namespace {

TEST(RegistryHost, is_a_first_part_that_no_user_of_docker_hub_has) {
    EXPECT_EQ(registry_host_of("localhost:5000/a/b:1"), "localhost:5000");
    EXPECT_EQ(registry_host_of("localhost/a"), "localhost");
    EXPECT_EQ(registry_host_of("example.com/a"), "example.com");
    EXPECT_EQ(registry_host_of("Example/a"), "Example");
    for (const char* name : {"alpine", "library/alpine", "alpine:3.20", "example.com", "/a", ""})
        EXPECT_EQ(registry_host_of(name), "") << name;
}

TEST(RegistryHost, of_a_server_is_what_stands_between_scheme_and_path) {
    EXPECT_EQ(host_of_server("https://index.docker.io/v1/"), "index.docker.io");
    EXPECT_EQ(host_of_server("example.com:5000"), "example.com:5000");
    EXPECT_EQ(host_of_server(""), "");
}

}  // namespace
}  // namespace berth
