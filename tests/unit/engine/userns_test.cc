#include "engine/model/userns.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "oci/id_map.h"

namespace berth::engine::model {
namespace {

constexpr UserIds kOwn{1001, 1002};

TEST(Userns, root_is_the_user_unless_keep_id_is_asked) {
    EXPECT_EQ(kept_ids_from("", kOwn), std::nullopt);
    EXPECT_EQ(kept_ids_from("host", kOwn), std::nullopt);
    EXPECT_EQ(kept_ids_from("keep-id", kOwn), kOwn);
}

TEST(Userns, keep_id_names_other_ids) {
    EXPECT_EQ(kept_ids_from("keep-id:uid=1000,gid=50", kOwn), (UserIds{1000, 50}));
    EXPECT_EQ(kept_ids_from("keep-id:gid=50", kOwn), (UserIds{1001, 50}));
}

TEST(Userns, a_malformed_mode_is_refused) {
    for (const char* mode : {"keep-idx", "keep-id,uid=1", "keep-id:uid", "keep-id:uid=", "auto",
                             "keep-id:uid=1:gid=2", "keep-id:uid=-1", "keep-id:", "keep-id:size=1"})
        EXPECT_THROW(kept_ids_from(mode, kOwn), Error) << mode;
}

TEST(Userns, the_map_is_a_permutation) {
    const auto map = keep_id_map(1000, 65537);
    ASSERT_EQ(map.size(), 3u);
    EXPECT_EQ(oci::mapped_id(map, 0), 1u);
    EXPECT_EQ(oci::mapped_id(map, 999), 1000u);
    EXPECT_EQ(oci::mapped_id(map, 1000), 0u);
    EXPECT_EQ(oci::mapped_id(map, 1001), 1001u);
    EXPECT_EQ(oci::mapped_id(map, 65536), 65536u);
    for (const std::uint32_t id : {0U, 7U, 999U, 1000U, 1001U})
        EXPECT_EQ(oci::unmapped_id(map, oci::mapped_id(map, id)), id);
    EXPECT_EQ(oci::mapped_id(keep_id_map(0, 65537), 0), 0u);
    EXPECT_EQ(oci::mapped_id(keep_id_map(0, 65537), 7), 7u);
    EXPECT_EQ(keep_id_map(65536, 65537).size(), 2u);
    EXPECT_THROW(keep_id_map(65537, 65537), Error);
}

TEST(Userns, a_label_stands_for_the_flag_and_the_flag_wins) {
    HostConfig host;
    const Labels labels{{kUsernsLabel, "keep-id"}};
    EXPECT_EQ(chosen_userns_mode(host, {}, "keep-id:uid=5"), "keep-id:uid=5");
    EXPECT_EQ(chosen_userns_mode(host, labels, ""), "keep-id");
    host.userns_mode = "host";
    EXPECT_EQ(chosen_userns_mode(host, labels, ""), "host");
}

}  // namespace
}  // namespace berth::engine::model
