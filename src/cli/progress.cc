#include "cli/progress.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/engine_client.h"
#include "cli/registry_auth.h"

namespace berth::cli {
namespace {

void show(const JsonReader& line, Show what) {
    if (line.has("error")) throw Error::with_text(ErrorKind::internal, line.string("error"));
    if (what == Show::nothing) return;
    if (line.has("stream")) {
        write_all(BorrowedFd{STDOUT_FILENO}, line.string("stream"));
        return;
    }
    const std::string status = line.string("status");
    if (status.empty()) return;
    // Steps of a layer change many times a second: only a terminal sees those that count bytes.
    const bool counting = line.object("progressDetail").has("current");
    if (counting && ::isatty(STDERR_FILENO) != 1) return;
    const std::string id = line.string("id");
    const std::string progress = line.string("progress");
    std::string text = id.empty() ? status : id + ": " + status;
    if (!progress.empty()) text += " " + progress;
    if (counting) {
        write_all(BorrowedFd{STDERR_FILENO}, "\r\x1b[K" + text + "\r");
    } else {
        write_all(BorrowedFd{STDOUT_FILENO}, text + "\n");
    }
}

}  // namespace

void show_progress(http::ClientResponse response, Show what) {
    std::string pending;
    std::string buffer(16U << 10, '\0');
    while (const std::size_t count = response.read(buffer)) {
        pending.append(buffer, 0, count);
        std::size_t end = 0;
        while ((end = pending.find('\n')) != std::string::npos) {
            const std::string line = pending.substr(0, end);
            pending.erase(0, end + 1);
            if (line.find_first_not_of("\r ") == std::string::npos) continue;
            const auto document = parse_json(line);
            show(JsonReader(document), what);
        }
    }
}

NamedTag split_tag(const std::string& reference, Tags tags) {
    const std::size_t slash = reference.rfind('/');
    const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
    const std::size_t mark = reference.find_first_of(":@", start);
    if (tags == Tags::all) {
        if (mark != std::string::npos)
            throw Error(ErrorKind::invalid, "tag can't be used with --all-tags/-a");
        return {reference, ""};
    }
    if (mark == std::string::npos) return {reference, "latest"};
    if (reference[mark] == '@') return {reference, ""};  // the digest says it all
    return {reference.substr(0, mark), reference.substr(mark + 1)};
}

void pull_image(const std::string& host, const PullWish& wish) {
    EngineClient client(host);
    const NamedTag named = split_tag(wish.reference, wish.tags);
    http::ClientRequest request{
        "POST", "/images/create?fromImage=" + http::encode_percent(named.name), {}, {}, {}};
    if (!named.tag.empty()) request.target += "&tag=" + http::encode_percent(named.tag);
    if (!wish.platform.empty())
        request.target += "&platform=" + http::encode_percent(wish.platform);
    if (const std::string auth = registry_auth(wish.reference); !auth.empty())
        request.headers.set("X-Registry-Auth", auth);
    show_progress(client.send(request), wish.show);
}

}  // namespace berth::cli
