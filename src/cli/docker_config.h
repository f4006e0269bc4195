// The user's ~/.docker/config.json ($DOCKER_CONFIG), which we share with docker: credentials, in
// the file or at a credential helper. What we do not know in it stays as it is.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace berth::cli {

/// What docker calls Docker Hub in its files and messages.
constexpr const char* kHubKey = "https://index.docker.io/v1/";

/// $DOCKER_CONFIG, else ~/.docker; empty without a home.
std::string docker_directory();

struct Login final {
    std::string username;
    std::string password;
    std::string identity_token;  // instead of the password
};

/// "localhost:5000", "https://example.com/v2/" → the host; Docker Hub's names → its key.
std::string registry_key(const std::string& server);
/// The key of the registry that serves `reference`: "localhost:5000/a:1" → "localhost:5000".
std::string registry_of(const std::string& reference);

class DockerConfig final {
  public:
    /// Throws Error when the file is damaged. A missing one is empty.
    DockerConfig();
    ~DockerConfig();
    DockerConfig(const DockerConfig&) = delete;
    DockerConfig& operator=(const DockerConfig&) = delete;

    const std::string& path() const { return path_; }
    /// The credential helper that keeps this registry's credentials; empty: the file does.
    std::string helper_of(const std::string& registry) const;
    std::optional<Login> find(const std::string& registry) const;
    void store(const std::string& registry, const Login& login);
    /// False when there was nothing to forget.
    bool erase(const std::string& registry);
    /// The variables that docker gives to containers of this engine: "HTTP_PROXY=…", both cases.
    std::vector<std::string> proxy_environment(const std::string& engine) const;

  private:
    void write() const;

    std::string path_;
    std::unique_ptr<nlohmann::ordered_json> document_;
};

}  // namespace berth::cli
