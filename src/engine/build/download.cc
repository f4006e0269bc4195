#include "engine/build/download.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "archive/compression.h"
#include "archive/tar_reader.h"
#include "base/error.h"
#include "base/file.h"
#include "image/transport.h"

namespace berth::engine {

namespace {

/// The last component of the URL's path.
std::string name_of(const std::string& url) {
    std::string path = url.substr(0, url.find_first_of("?#"));
    path = path.substr(path.find("://") + 3);
    const std::size_t slash = path.find('/');
    path = slash == std::string::npos ? "" : path.substr(slash);
    const std::string name = path.substr(std::min(path.rfind('/') + 1, path.size()));
    if (name.empty() || name == "." || name == ".." || name.size() > 255)
        throw Error(ErrorKind::invalid, "cannot determine filename from url: {}", url);
    return name;
}

}  // namespace

std::string download(const std::string& url, const std::string& directory,
                     const std::shared_ptr<const image::RegistrySettings>& settings,
                     std::stop_token stop) {
    std::string name = name_of(url);
    const UniqueFd file =
        open_file(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    download_to(file, url, settings, std::move(stop));
    return name;
}

void download_to(BorrowedFd file, const std::string& url,
                 const std::shared_ptr<const image::RegistrySettings>& settings,
                 std::stop_token stop) {
    image::Transport transport(*settings);
    image::HttpRequest request;
    request.url = url;
    request.on_body = [file](long, std::string_view bytes) { write_all(file, bytes); };
    const image::HttpResponse response = transport.exchange(request, {}, std::move(stop));
    if (response.status / 100 != 2)
        throw Error(ErrorKind::invalid, "failed to GET {} with status {}", url, response.status);
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
