#include "outside_fixture.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "tests/support/userns.h"

namespace berth::image::test {
namespace {

std::string make_network() {
    if (const std::string& reason = berth::test::enter_user_namespace(); !reason.empty())
        return reason;
    if (::unshare(CLONE_NEWNET) != 0)
        return std::string("no network namespaces: ") + std::strerror(errno);
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return "lo does not come up";
    // A second address on lo does: what counts is that it is not in 127.0.0.0/8.
    request = {};
    std::strcpy(request.ifr_name, "lo:1");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    ::inet_pton(AF_INET, kOutside, &address.sin_addr);
    std::memcpy(&request.ifr_addr, &address, sizeof address);
    if (::ioctl(control.get(), SIOCSIFADDR, &request) != 0) return "lo takes no second address";
    return "";
}

}  // namespace

const std::string& enter_network() {
    static const std::string kReason = make_network();
    return kReason;
}

void OutsideTest::SetUp() {
    if (const std::string missing = missing_programs(); !missing.empty()) GTEST_SKIP() << missing;
    if (!exists(kOpenssl)) GTEST_SKIP() << "openssl is not installed";
    if (!no_network_.empty()) GTEST_SKIP() << no_network_;
    // skopeo reads its configuration there, and the caller's own may be out of reach by now.
    ::setenv("HOME", directory_.path().c_str(), 1);
    ::unsetenv("XDG_RUNTIME_DIR");
    store_ = std::make_unique<ImageStore>(path("images"));
    settings_.retry_step = std::chrono::milliseconds(1);
    settings_.certificate_directories = {path("certs.d")};
    tars_ = {make_tar({{"a", std::string(3U << 20, 'x')}}), make_tar({{"b", "2"}})};
}

void OutsideTest::push(const std::string& name) {
    registry_.reset();
    const RegistryProcess plain(directory_.path(), RegistryAccess::open);
    const nlohmann::json manifest{
        {{"Config", "c.json"}, {"RepoTags", {"a:1"}}, {"Layers", {"1", "2"}}}};
    const std::string bytes = make_tar({{"c.json", config_for(tars_)},
                                        {"1", tars_[0]},
                                        {"2", tars_[1]},
                                        {"manifest.json", manifest.dump()}});
    replace_file(path("image.tar"), bytes, 0600, Durability::process);
    skopeo_copy({"docker-archive:" + path("image.tar"), "docker://" + plain.host() + "/" + name});
}

void OutsideTest::serve(const RegistryOptions& options) {
    registry_.reset();
    registry_ = std::make_unique<RegistryProcess>(directory_.path(), options);
}

void OutsideTest::serve_tls(const Authority& authority, const std::string& subject,
                            const std::string& more) {
    const KeyPair pair = authority.issue("server", subject);
    serve({.address = kOutside,
           .tls = "    certificate: " + pair.certificate + "\n    key: " + pair.key + "\n" + more,
           .auth = ""});
}

void OutsideTest::trust(const std::string& name, const std::string& file) {
    const std::string directory = path("certs.d/" + registry_->host());
    make_directories(directory);
    replace_file(directory + "/" + name, read_file(file), 0600, Durability::process);
}

PullResult OutsideTest::pull(const std::string& name, Credentials credentials) {
    return pull_full(registry_->host() + "/" + name, std::move(credentials));
}

PullResult OutsideTest::pull_full(const std::string& reference, Credentials credentials) {
    Puller puller(*store_, sink_, settings_);
    return puller
        .pull({.reference = Reference::parse(reference),
               .platform = "",
               .credentials = std::move(credentials)},
              lines_.callback(), {})
        .at(0);
}

}  // namespace berth::image::test
