// `berth images`: the images by name.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/engine_client.h"
#include "cli/flags.h"
#include "cli/table.h"

namespace berth::cli {
namespace {

constexpr std::array kFlags{Flag{"all", 'a', FlagKind::toggle},
                            Flag{"no-trunc", 0, FlagKind::toggle},
                            Flag{"quiet", 'q', FlagKind::toggle}};

std::string short_image_id(const std::string& id) {
    const auto colon = id.find(':');
    return id.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

}  // namespace

int images_command(const Invocation& invocation) {
    const Flags flags = Flags::parse(invocation.arguments, kFlags, Positionals::anywhere);
    const nlohmann::json list{
        {"list", EngineClient(invocation.host)
                     .get(flags.on("all") ? "/images/json?all=1" : "/images/json")}};
    std::vector<Row> rows;
    if (!flags.on("quiet")) rows = {{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}};
    for (const JsonReader& image : JsonReader(list).objects("list")) {
        const std::string id =
            flags.on("no-trunc") ? image.string("Id") : short_image_id(image.string("Id"));
        std::vector<std::string> tags = image.strings("RepoTags");
        if (tags.empty()) tags = {"<none>:<none>"};
        if (flags.on("quiet")) {
            rows.push_back({id});
            continue;
        }
        for (const std::string& tag : tags) {
            const auto colon = tag.rfind(':');
            rows.push_back({tag.substr(0, colon), tag.substr(colon + 1), id,
                            age(image.integer("Created")), human_size(image.integer("Size"))});
        }
    }
    write_all(BorrowedFd{STDOUT_FILENO}, format_table(rows));
    return 0;
}

}  // namespace berth::cli
