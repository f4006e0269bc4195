#include "rootlesskit/id_ranges.h"

#include <gtest/gtest.h>

namespace berth::rootlesskit {
namespace {

using Ranges = std::vector<IdRange>;

TEST(IdRanges, belong_to_the_user_by_name_or_number) {
    struct Row {
        const char* text;
        Ranges expected;
    };
    const Row rows[] = {
        {"joe:100000:65536\n", {{100000, 65536}}},
        {"1001:100000:65536", {{100000, 65536}}},
        {"ann:1:2\njoe:5:6\n1001:20:3\n", {{5, 6}, {20, 3}}},
        {"# joe:1:2\n\n joe : 5:6\njoe:7:8\n", {{7, 8}}},
        {"joey:1:2\njo:1:2\n100:1:2\n", {}},
        {"joe:x:2\njoe:1:\njoe:1\njoe:1:0\njoe:-1:5\njoe:1:2:3\n", {}},
        {"joe:4294967290:5\njoe:4294967290:6\n", {{4294967290, 5}}},
        {"", {}},
    };
    for (const Row& row : rows)
        EXPECT_EQ(parse_subordinate_ids(row.text, "joe", 1001), row.expected) << row.text;
}

TEST(IdRanges, a_nameless_user_matches_by_number_only) {
    EXPECT_EQ(parse_subordinate_ids(":1:2\n7:3:4\n", "", 7), (Ranges{{3, 4}}));
}

TEST(IdRanges, getsubids_output_is_read) {
    EXPECT_EQ(parse_getsubids("0: joe 100000 65536\n1: joe 300000 10\n"),
              (Ranges{{100000, 65536}, {300000, 10}}));
    EXPECT_EQ(parse_getsubids("Error fetching ranges\n"), Ranges{});
}

TEST(IdRanges, an_overlap_names_the_other_owner) {
    EXPECT_EQ(find_overlap("joe:100000:65536\nann:165535:5\n", "joe", 1001),
              (Overlap{"ann", {100000, 65536}}));
    EXPECT_EQ(find_overlap("joe:100000:65536\n1001:100000:9\nann:165536:5\n", "joe", 1001),
              std::nullopt);
}

TEST(IdRanges, map_puts_the_user_first_and_combines_ranges) {
    EXPECT_EQ(make_map(1001, {{100000, 65536}, {300000, 10}}),
              (std::vector<MapEntry>{{0, 1001, 1}, {1, 100000, 65536}, {65537, 300000, 10}}));
}

TEST(IdRanges, map_leaves_out_what_the_kernel_would_refuse) {
    EXPECT_EQ(make_map(1001, {{1000, 5}, {100000, 10}, {100005, 10}}),
              (std::vector<MapEntry>{{0, 1001, 1}, {1, 100000, 10}}));
    Ranges many;
    for (std::uint64_t i = 0; i < 500; ++i) many.push_back({100000 + i * 10, 10});
    EXPECT_EQ(make_map(1, many).size(), 340U);
}

TEST(IdRanges, a_free_range_lies_behind_all_others) {
    EXPECT_EQ(first_free_range(""), 100000U);
    EXPECT_EQ(first_free_range("a:100000:65536\nb:165536:65536\n"), 231072U);
    EXPECT_EQ(first_free_range("a:100000:1\n"), 165536U);
}

}  // namespace
}  // namespace berth::rootlesskit
