#include "image/store_removal.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace berth::image {
namespace {

/// One tag at most, and no more than one repository among all of them.
bool is_single_reference(const std::vector<Reference>& references) {
    const auto is_tag = [](const Reference& reference) { return !reference.digest(); };
    std::set<std::string> names;
    for (const Reference& reference : references) names.insert(reference.name());
    return names.size() <= 1 && std::ranges::count_if(references, is_tag) <= 1;
}

std::string short_container(const std::string& id) { return id.substr(0, 12); }

struct Conflict final {
    std::string reason;
    enum class Hardness { hard, soft } hardness;
};

class RemovalPlanner final {
  public:
    RemovalPlanner(const StoreIndex& index, Force force, const FindUses& uses,
                   const std::set<Digest>& held)
        : plan_{.next = index, .records = {}, .deleted = {}, .layers = {}},
          force_(force),
          uses_(uses),
          held_(held) {}

    void by_reference(const Digest& id, const Reference& reference, std::string_view text,
                      PruneParents prune);
    void by_id(const Digest& id, PruneParents prune);
    RemovalPlan take() { return std::move(plan_); }

  private:
    enum class References { count, ignore };
    enum class Noise { loud, quiet };

    std::optional<Conflict> conflict_of(const Digest& id, References references) const;
    void refuse(const Digest& id, const Conflict& conflict) const;
    void untag(const Reference& reference);
    void delete_image(const Digest& id, PruneParents prune, Noise noise);

    RemovalPlan plan_;
    Force force_;
    const FindUses& uses_;
    const std::set<Digest>& held_;
};

std::optional<Conflict> RemovalPlanner::conflict_of(const Digest& id, References references) const {
    using enum Conflict::Hardness;
    for (const auto& [child, entry] : plan_.next.images)
        if (entry.parent == id) return Conflict{"image has dependent child images", hard};
    if (held_.contains(id)) return Conflict{"image is being used by a running build", hard};
    const std::vector<ImageUse> uses = uses_(id);
    const auto running = std::ranges::find(uses, true, &ImageUse::running);
    if (running != uses.end()) {
        return Conflict{
            "image is being used by running container " + short_container(running->container),
            hard};
    }
    if (force_ == Force::yes) return std::nullopt;
    if (references == References::count && !plan_.next.references_of(id).empty())
        return Conflict{"image is referenced in multiple repositories", soft};
    if (!uses.empty()) {
        return Conflict{
            "image is being used by stopped container " + short_container(uses.front().container),
            soft};
    }
    return std::nullopt;
}

void RemovalPlanner::refuse(const Digest& id, const Conflict& conflict) const {
    const bool hard = conflict.hardness == Conflict::Hardness::hard;
    throw Error(ErrorKind::conflict, "conflict: unable to delete {} ({} be forced) - {}",
                id.short_hex(), hard ? "cannot" : "must", conflict.reason);
}

void RemovalPlanner::untag(const Reference& reference) {
    plan_.next.references.erase(reference);
    plan_.records.push_back({RemovalRecord::Kind::untagged, reference.familiar()});
}

void RemovalPlanner::by_reference(const Digest& id, const Reference& reference,
                                  std::string_view text, PruneParents prune) {
    // Losing its only name would leave an image in use dangling: that must be asked for.
    if (force_ == Force::no && is_single_reference(plan_.next.references_of(id))) {
        const std::vector<ImageUse> uses = uses_(id);
        if (!uses.empty()) {
            throw Error(ErrorKind::conflict,
                        "conflict: unable to remove repository reference \"{}\" (must force) - "
                        "container {} is using its referenced image {}",
                        text, short_container(uses.front().container), id.short_hex());
        }
    }
    untag(reference);
    std::vector<Reference> rest = plan_.next.references_of(id);
    const auto same_repository = [&](const Reference& other) {
        return other.name() == reference.name();
    };
    // The last tag of a repository takes the digests of that repository along.
    if (!reference.digest() && std::ranges::none_of(rest, [&](const Reference& other) {
            return same_repository(other) && !other.digest();
        })) {
        for (const Reference& other : rest)
            if (same_repository(other)) untag(other);
        std::erase_if(rest, same_repository);
    }
    if (rest.empty()) delete_image(id, prune, Noise::quiet);
}

void RemovalPlanner::by_id(const Digest& id, PruneParents prune) {
    const std::vector<Reference> references = plan_.next.references_of(id);
    if (is_single_reference(references)) {
        if (const auto conflict = conflict_of(id, References::ignore)) refuse(id, *conflict);
        for (const Reference& reference : references) untag(reference);
    }
    delete_image(id, prune, Noise::loud);
}

void RemovalPlanner::delete_image(const Digest& id, PruneParents prune, Noise noise) {
    if (const auto conflict = conflict_of(id, References::count)) {
        // The name that was asked for is gone already; the image behind it simply stays.
        if (noise == Noise::quiet) return;
        refuse(id, *conflict);
    }
    for (const Reference& reference : plan_.next.references_of(id)) untag(reference);
    const ImageEntry entry = plan_.next.images.at(id);
    plan_.next.images.erase(id);
    plan_.deleted.push_back(id);
    plan_.records.push_back({RemovalRecord::Kind::deleted, id.str()});
    for (auto chain_id = entry.chain_ids.rbegin(); chain_id != entry.chain_ids.rend(); ++chain_id)
        if (!plan_.next.names_layer(*chain_id)) plan_.layers.push_back(*chain_id);
    if (prune == PruneParents::no || !entry.parent || !plan_.next.images.contains(*entry.parent))
        return;
    // A parent that has a name, or that something uses, simply stays.
    if (plan_.next.references_of(*entry.parent).empty() &&
        !conflict_of(*entry.parent, References::count))
        delete_image(*entry.parent, prune, Noise::quiet);
}

}  // namespace

RemovalPlan plan_removal(const StoreIndex& index, const Resolution& target, std::string_view text,
                         Force force, PruneParents prune, const FindUses& uses,
                         const std::set<Digest>& held) {
    RemovalPlanner planner(index, force, uses, held);
    if (target.reference) {
        planner.by_reference(target.id, *target.reference, text, prune);
    } else {
        planner.by_id(target.id, prune);
    }
    return planner.take();
}

}  // namespace berth::image
