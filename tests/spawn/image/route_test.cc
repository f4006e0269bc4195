// Which way a pull goes: mirrors of Docker Hub, and proxies.
#include <stdlib.h>

#include "canned_server.h"
#include "image/proxy.h"
#include "image/transport.h"
#include "outside_fixture.h"

namespace berth::image {
namespace {

using test::CannedAnswer;
using test::CannedRequest;
using test::CannedServer;
using test::error_of;

class RouteTest : public test::OutsideTest {
  protected:
    static bool has(const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos;
    }
    /// A proxy for plain HTTP; it refuses tunnels.
    CannedAnswer forward(const CannedRequest& request) {
        if (request.method != "GET" || !request.target.starts_with("http://"))
            return {.status = 403, .body = "", .headers = {}};
        HttpRequest onward;
        onward.url = request.target;
        onward.headers = {"Accept: application/vnd.docker.distribution.manifest.v2+json"};
        onward.body_limit = 16U << 20;
        HttpResponse response = direct_.exchange(onward, {}, {});
        return {.status = static_cast<int>(response.status),
                .body = std::move(response.body),
                .headers = {{"Content-Type", response.headers["content-type"]}}};
    }

    static RegistrySettings without_proxy() {
        RegistrySettings result;
        result.no_proxy = "*";
        return result;
    }

    const RegistrySettings direct_settings_ = without_proxy();
    Transport direct_{direct_settings_};
    CannedServer proxy_{[this](const CannedRequest& request) { return forward(request); }};
};

TEST_F(RouteTest, AMirrorServesDockerHubsImages) {
    push("library/x:1");
    const test::Authority authority(directory_.path(), "own");
    serve_tls(authority);
    trust("ca.crt", authority.certificate());
    settings_.mirrors = {"https://" + registry_->host() + "/"};
    pull_full("docker.io/library/x:1");
    EXPECT_EQ(store_->list().at(0).repo_tags(), std::vector<std::string>{"x:1"});
}

TEST_F(RouteTest, AMirrorOnLoopbackNeedsNoTls) {
    push("library/x:1");
    serve({});
    settings_.mirrors = {"http://" + registry_->host()};
    EXPECT_NO_THROW(pull_full("x:1"));
}

TEST_F(RouteTest, WhatTheMirrorLacksIsAskedOfDockerHub) {
    push("library/x:1");
    serve({});
    settings_.mirrors = {"http://" + registry_->host()};
    const std::string error = error_of([&] { pull_full("y:1"); });
    EXPECT_TRUE(has(error, "https://registry-1.docker.io/v2/library/y/manifests/1")) << error;
}

TEST_F(RouteTest, AMirrorThatIsNotTrustedIsNamed) {
    push("library/x:1");
    serve_tls(test::Authority(directory_.path(), "own"));
    settings_.mirrors = {"https://" + registry_->host()};
    const std::string error = error_of([&] { pull_full("x:1"); });
    EXPECT_TRUE(has(error, "registry-1.docker.io")) << error;
    EXPECT_TRUE(has(error, "(mirror: Get \"https://" + registry_->host())) << error;
    EXPECT_TRUE(has(error, "failed to verify certificate")) << error;
}

TEST_F(RouteTest, HttpGoesThroughTheProxyUnlessNoProxyNamesTheHost) {
    push("app:1");
    serve({.address = test::kOutside, .tls = "", .auth = ""});
    settings_.insecure_registries = {registry_->host()};
    settings_.http_proxy = "http://" + proxy_.host();
    EXPECT_EQ(error_of_pull("app:1"), "");
    EXPECT_EQ(proxy_.count("http://" + registry_->host() + "/v2/app/blobs/sha256:"), 3);
    const int before = proxy_.count("http");
    for (const std::string& list : {std::string("192.0.2.0/24"), registry_->host()}) {
        settings_.no_proxy = "other.example," + list;
        EXPECT_EQ(error_of_pull("app:1"), "");
        EXPECT_EQ(proxy_.count("http"), before);
    }
}

TEST_F(RouteTest, ProxiesOfTheEnvironmentCount) {
    push("app:1");
    serve({.address = test::kOutside, .tls = "", .auth = ""});
    settings_.insecure_registries = {registry_->host()};
    ::setenv("http_proxy", ("http://" + proxy_.host()).c_str(), 1);
    EXPECT_EQ(error_of_pull("app:1"), "");
    const int before = proxy_.count("http");
    EXPECT_GT(before, 0);
    ::setenv("NO_PROXY", "192.0.2.1", 1);
    EXPECT_EQ(error_of_pull("app:1"), "");
    ::unsetenv("http_proxy");
    ::unsetenv("NO_PROXY");
    EXPECT_EQ(proxy_.count("http"), before);
}

TEST_F(RouteTest, HttpsAsksTheProxyForATunnel) {
    push("app:1");
    const test::Authority authority(directory_.path(), "own");
    serve_tls(authority);
    trust("ca.crt", authority.certificate());
    settings_.https_proxy = "http://" + proxy_.host();
    const std::string error = error_of_pull("app:1");
    EXPECT_TRUE(has(error, "403")) << error;
    EXPECT_EQ(proxy_.requests().at(0).method, "CONNECT");
    EXPECT_EQ(proxy_.requests().at(0).target, registry_->host());
    settings_.no_proxy = "192.0.2.1";
    EXPECT_EQ(error_of_pull("app:1"), "");
}

TEST_F(RouteTest, LoopbackIsNeverProxied) {
    push("app:1");
    serve({});
    settings_.http_proxy = settings_.https_proxy = "http://" + proxy_.host();
    EXPECT_EQ(error_of_pull("app:1"), "");
    EXPECT_TRUE(proxy_.requests().empty());
}

}  // namespace
}  // namespace berth::image
