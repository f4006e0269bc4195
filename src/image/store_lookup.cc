#include "image/store_lookup.h"

#include <algorithm>

#include "base/error.h"
#include "base/id.h"

namespace berth::image {
namespace {

constexpr std::size_t kMinIdPrefix = 1;

bool is_hex(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    });
}

std::optional<Digest> find_prefix(const StoreIndex& index, std::string_view prefix) {
    if (prefix.size() < kMinIdPrefix || prefix.size() > 64 || !is_hex(prefix)) return std::nullopt;
    std::optional<Digest> found;
    for (const auto& [id, entry] : index.images) {
        if (!id.hex().starts_with(prefix)) continue;
        if (found)
            throw Error(ErrorKind::invalid,
                        "image id prefix '{}' is ambiguous: it matches more than one image",
                        prefix);
        found = id;
    }
    return found;
}

std::optional<Reference> try_parse(std::string_view text) {
    try {
        return Reference::parse(text).with_default_tag();
    } catch (const Error&) {
        return std::nullopt;
    }
}

/// The order of §19: whole id, exact reference, id prefix.
std::optional<Resolution> find_by_text(const StoreIndex& index, std::string_view text) {
    const std::string_view hex = text.starts_with("sha256:") ? text.substr(7) : text;
    if (is_hex_id(hex)) {
        const Digest id = Digest::from_hex(hex);
        if (index.images.contains(id)) return Resolution{id, std::nullopt};
    }
    if (auto reference = try_parse(text)) {
        const auto named = index.references.find(*reference);
        if (named != index.references.end()) return Resolution{named->second, named->first};
    }
    if (auto id = find_prefix(index, hex)) return Resolution{*id, std::nullopt};
    return std::nullopt;
}

}  // namespace

void no_such_image(std::string_view name) {
    // Docker's CLI pulls when it reads this text with status 404.
    throw Error(ErrorKind::not_found, "No such image: {}", name);
}

Resolution resolve_in(const StoreIndex& index, std::string_view text) {
    if (auto found = find_by_text(index, text)) return *std::move(found);
    const bool is_id = is_hex_id(text) || text.starts_with("sha256:");
    no_such_image(is_id ? std::string(text) : Reference::parse(text).with_default_tag().familiar());
}

}  // namespace berth::image
