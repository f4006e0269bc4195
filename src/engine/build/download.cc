#include "engine/build/download.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>

#include "archive/compression.h"
#include "archive/tar_reader.h"
#include "base/error.h"
#include "base/file.h"
#include "image/transport.h"

namespace berth::engine {

namespace {

/// The last component of the URL's path; empty for what is no name.
std::string name_of(const std::string& url) {
    std::string path = url.substr(0, url.find_first_of("?#"));
    path = path.substr(path.find("://") + 3);
    const std::size_t slash = path.find('/');
    path = slash == std::string::npos ? "" : path.substr(slash);
    std::string name = path.substr(std::min(path.rfind('/') + 1, path.size()));
    if (name == "." || name == ".." || name.size() > 255) name.clear();
    return name;
}

/// "Sun, 06 Nov 1994 08:49:37 GMT"
std::optional<Timestamp> parse_http_date(const std::string& text) {
    std::tm date{};
    const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return Timestamp{std::int64_t{::timegm(&date)} * 1'000'000'000};
}

}  // namespace

std::string download(const std::string& url, const std::string& directory,
                     const std::string& fallback,
                     const std::shared_ptr<const image::RegistrySettings>& settings,
                     std::stop_token stop) {
    std::string name = name_of(url);
    if (name.empty()) name = fallback;
    if (name.empty())
        throw Error(ErrorKind::invalid, "cannot determine filename from url: {}", url);
    const UniqueFd file =
        open_file(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    const auto changed = download_to(file, url, settings, std::move(stop));
    // A file of unknown age has the same one in each build.
    timespec times[2]{};
    times[0].tv_sec = times[1].tv_sec = changed.value_or(Timestamp{}).seconds();
    if (::futimens(file.get(), times) < 0) throw_errno("setting the time of {}", name);
    return name;
}

std::optional<Timestamp> download_to(BorrowedFd file, const std::string& url,
                                     const std::shared_ptr<const image::RegistrySettings>& settings,
                                     std::stop_token stop) {
    image::Transport transport(*settings);
    image::HttpRequest request;
    request.url = url;
    request.on_body = [file](long, std::string_view bytes) { write_all(file, bytes); };
    const image::HttpResponse response = transport.exchange(request, {}, std::move(stop));
    if (response.status / 100 != 2)
        throw Error(ErrorKind::invalid, "failed to GET {} with status {}", url, response.status);
    const auto changed = response.headers.find("last-modified");
    if (changed == response.headers.end()) return std::nullopt;
    return parse_http_date(changed->second);
}

bool is_tar(BorrowedFd file) {
    try {
        archive::FdSource source(file);
        archive::DecompressSource plain(source);
        archive::TarReader reader(plain);
        return reader.next().has_value();
    } catch (const Error&) {
        return false;
    }
}

}  // namespace berth::engine
