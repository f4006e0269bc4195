// Login, search and what a registry says of an image, against a server whose answers are made up.
#include "image/account.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "canned_server.h"
#include "image/distribution.h"
#include "image_fixture.h"

namespace berth::image {
namespace {

using test::CannedAnswer;
using test::CannedRequest;
using test::CannedServer;
using test::error_of;
using test::kind_of;

RegistrySettings settings() {
    RegistrySettings result;
    result.certificate_directories.clear();
    return result;
}

Credentials ann(const std::string& password, const std::string& server) {
    Credentials result;
    result.username = "ann";
    result.password = password;
    result.server_address = server;
    return result;
}

/// Knows ann:secret; gives an identity token to who asks for one.
CannedAnswer token_registry(const CannedRequest& request, const std::string& host) {
    if (request.target.starts_with("/token")) {
        if (!request.has("Authorization: Basic " + encode_base64("ann:secret")))
            return {.status = 401, .body = R"({"details":"incorrect username or password"})"};
        const bool offline = request.target.find("offline_token=true") != std::string::npos;
        return {.status = 200,
                .body = offline ? R"({"token":"t","refresh_token":"kept"})" : R"({"token":"t"})"};
    }
    if (request.has("Authorization: Bearer t")) return {.status = 200, .body = "{}"};
    return {.status = 401,
            .headers = {
                {"WWW-Authenticate", "Bearer realm=\"http://" + host + "/token\",service=\"s\""}}};
}

TEST(Account, LoginKeepsTheIdentityTokenThatTheRegistryGives) {
    std::string host;
    CannedServer server([&host](const CannedRequest& r) { return token_registry(r, host); });
    host = server.host();
    EXPECT_EQ(log_in(settings(), ann("secret", "http://" + host + "/v1/"), {}), "kept");
    EXPECT_EQ(server.count("client_id=docker"), 1);
    EXPECT_EQ(server.count("scope="), 0);
}

TEST(Account, AWrongPasswordIsTheTokenServicesWord) {
    std::string host;
    CannedServer server([&host](const CannedRequest& r) { return token_registry(r, host); });
    host = server.host();
    const auto wrong = [&] { log_in(settings(), ann("wrong", host), {}); };
    EXPECT_EQ(kind_of(wrong), ErrorKind::unauthorized);
    EXPECT_EQ(error_of(wrong), "unauthorized: incorrect username or password");
}

TEST(Account, SearchSendsTheWordWithoutTheHost) {
    CannedServer server([](const CannedRequest&) {
        return CannedAnswer{
            .status = 200,
            .body = R"({"results":[{"name":"a/b","star_count":3,"is_official":true}]})"};
    });
    const auto found = search(settings(), server.host() + "/b c", 7, {}, {});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].name, "a/b");
    EXPECT_EQ(found[0].stars, 3);
    EXPECT_TRUE(found[0].is_official);
    EXPECT_EQ(server.requests().back().target, "/v1/search?q=b%20c&n=7");
    EXPECT_EQ(kind_of([] { search(settings(), "http://x/y", 7, {}, {}); }), ErrorKind::invalid);
}

TEST(Account, AnIndexIsDescribedByItsPlatforms) {
    const std::string index =
        R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{)"
        R"("mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:)" +
        std::string(64, 'a') +
        R"(","platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]})";
    CannedServer server([&index](const CannedRequest&) {
        return CannedAnswer{
            .status = 200,
            .body = index,
            .headers = {{"Content-Type", "application/vnd.oci.image.index.v1+json"}}};
    });
    const RemoteImage remote =
        describe_remote(settings(), Reference::parse(server.host() + "/a"), {}, {});
    EXPECT_EQ(remote.descriptor.digest, archive::sha256(index));
    ASSERT_EQ(remote.platforms.size(), 1U);
    EXPECT_EQ(remote.platforms[0].str(), "linux/arm64/v8");
    EXPECT_EQ(server.requests().back().target, "/v2/a/manifests/latest");
}

}  // namespace
}  // namespace berth::image
