// What a client sends: queries, filters, names, times; and the arguments of our own.
#include <nlohmann/json.hpp>

#include "api/parameters.h"
#include "api/version.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/create_request.h"
#include "engine/filters.h"
#include "engine/model/mounts.h"
#include "engine/model/names.h"
#include "engine/model/times.h"
#include "http/message.h"
#include "targets.h"

namespace berth::fuzz {
namespace {

void read_query(std::string_view bytes) {
    const http::Query query = http::Query::parse(bytes);
    each([&] { api::integer(query, "t"); }, [&] { api::boolean(query, "all"); },
         [&] { api::terminal_size(query, "h"); },
         [&] { engine::model::time_from_query(query.get("since"), {1'700'000'000'000'000'000}); });
    // What was decoded and is encoded again means the same.
    const std::string value = query.get("filters");
    if (http::decode_percent(http::encode_percent(value), http::Plus::literal) != value)
        throw std::runtime_error("another value after encoding");
}

void match_filters(std::string_view bytes) {
    const auto filters = engine::Filters::parse(bytes);
    each(
        [&] {
            filters.check_keys({"label", "name", "until"});
        },
        [&] { filters.boolean("dangling"); },
        [&] {
            filters.labels({{"a", "b"}, {"c", ""}});
        },
        [&] {
            filters.any("name", [](const std::string& pattern) {
                return engine::matches_pattern(pattern, std::string(200, 'a'));
            });
        });
}

void read_names(std::string_view bytes) {
    const std::string text(bytes);
    each([&] { engine::model::parse_bind(text); }, [&] { engine::model::parse_tmpfs("/t", text); },
         [&] { api::split_version(text); }, [&] { api::ApiVersion::parse(text); },
         [&] { engine::model::go_duration(text); }, [&] { api::check_json_content_type(text); });
}

/// The arguments stand one a line.
void read_arguments(std::string_view bytes) {
    std::vector<std::string> arguments;
    for (std::size_t begin = 0; begin <= bytes.size();) {
        const std::size_t end = std::min(bytes.find('\n', begin), bytes.size());
        arguments.emplace_back(bytes.substr(begin, end - begin));
        begin = end + 1;
    }
    const auto flags =
        cli::Flags::parse(arguments, cli::container_flags(), cli::Positionals::end_of_flags);
    flags.require(1, "run IMAGE");
    cli::create_request(flags);
}

}  // namespace

std::vector<Target> request_targets() {
    return {
        {"query",
         read_query,
         {"all=1&filters=%7B%22a%22%3A%5B%22b%22%5D%7D&t=-1&h=24&since=2024-01-01T00:00:00.5Z&x",
          "since=1h30m&filters=a+b%00"}},
        {"filters",
         match_filters,
         {R"({"label":["a=b","c"],"name":{"^x.*[a-z]+$":true},"dangling":["true"]})",
          R"({"name":["(a+)+b","a{1,3}|b?"]})"}},
        {"names",
         read_names,
         {"/a:/b:ro,z,rshared", "volume:/x:nocopy", "size=1m,mode=1777,exec",
          "/v1.51/containers/json", "1.51", "1h3m5.5s", "application/json; charset=utf-8"}},
        {"arguments",
         read_arguments,
         {"-it\n--rm\n-p\n127.0.0.1:80-81:90-91/udp\n-v\n/a:/"
          "b:ro\n-e\nA=B\n--memory=64m\nbusybox\nsh\n-c\nx",
          "--name=x\n-d\n--label\na=b\n--restart=on-failure:3\nimage"}}};
}

}  // namespace berth::fuzz
