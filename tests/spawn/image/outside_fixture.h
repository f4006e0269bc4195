// A registry that is not on loopback: the test process is root of a user and network namespace of
// its own, in which 192.0.2.1 (an address for documentation, RFC 5737) is local.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "authority.h"
#include "image/pull.h"
#include "image_fixture.h"
#include "registry_process.h"

namespace berth::image::test {

constexpr const char* kOutside = "192.0.2.1";

/// Once for the process, before it has threads. The reason for GTEST_SKIP, or nothing.
const std::string& enter_network();

class OutsideTest : public testing::Test {
  protected:
    void SetUp() override;

    std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
    /// Pushes the image `name` into the registry's directory, over plain HTTP on loopback.
    void push(const std::string& name);
    /// Starts the registry over that directory.
    void serve(const RegistryOptions& options);
    /// With a certificate of `authority` for `subject`; `more` are further lines of http.tls.
    void serve_tls(const Authority& authority, const std::string& subject = "IP:192.0.2.1",
                   const std::string& more = "");
    /// certs.d/HOST/`name` becomes a copy of `file`.
    void trust(const std::string& name, const std::string& file);
    /// `name` without a host is one of the registry.
    PullResult pull(const std::string& name, Credentials credentials = {});
    PullResult pull_full(const std::string& reference, Credentials credentials = {});
    std::string error_of_pull(const std::string& name) {
        return error_of([&] { pull(name); });
    }

    // First, so that everything after it belongs to the namespace's root.
    const std::string& no_network_ = enter_network();
    TemporaryDirectory directory_;
    std::unique_ptr<ImageStore> store_;
    FakeSink sink_;
    Lines lines_;
    RegistrySettings settings_;
    std::unique_ptr<RegistryProcess> registry_;
    std::vector<std::string> tars_;
};

}  // namespace berth::image::test
