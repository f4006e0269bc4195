// `berth search`: repositories of a registry.
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/registry_auth.h"
#include "cli/table.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"limit"}, Flag{"no-trunc", 0, FlagKind::toggle}};
constexpr std::size_t kDescriptionWidth = 45;

std::string shortened(std::string text) {
    if (text.size() > kDescriptionWidth) {
        std::size_t end = kDescriptionWidth - 1;
        while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not inside a character
        text = text.substr(0, end) + "…";
    }
    return text;
}

}  // namespace

int search_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    flags.require(1, "search [--limit N] [--no-trunc] TERM");
    const std::string& term = flags.positionals().front();
    http::ClientRequest request{"GET",
                                "/images/search?term=" + http::encode_percent(term) +
                                    "&limit=" + http::encode_percent(flags.get("limit", "25")),
                                {{"X-Registry-Auth", registry_auth(term)}},
                                {},
                                {}};
    EngineClient client(invocation.host);
    const nlohmann::json found = parse_json(client.send(request).read_all());
    std::vector<Row> rows{{"NAME", "DESCRIPTION", "STARS", "OFFICIAL"}};
    for (const nlohmann::json& each : found) {
        const JsonReader reader(each, "search");
        std::string description = reader.string("description");
        if (!flags.on("no-trunc")) description = shortened(std::move(description));
        rows.push_back({reader.string("name"), description,
                        std::to_string(reader.integer("star_count")),
                        reader.boolean("is_official", false) ? "[OK]" : ""});
    }
    write_all(BorrowedFd{STDOUT_FILENO}, format_table(rows));
    return 0;
}

}  // namespace berth::cli
