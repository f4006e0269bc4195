#include <gtest/gtest.h>

#include "archive/tar_format.h"
#include "archive/tar_reader.h"
#include "archive/tar_writer.h"
#include "base/error.h"

namespace berth::archive {
namespace {

// One raw header block with a right checksum, followed by `content` in whole blocks.
std::string member(char type, const std::string& name, const std::string& content,
                   const std::string& size_field = "") {
    std::string block(512, '\0');
    block.replace(0, std::min<std::size_t>(name.size(), 100), name.substr(0, 100));
    block.replace(100, 7, "0000644");
    block.replace(108, 7, "0000000");
    block.replace(116, 7, "0000000");
    const std::string size =
        size_field.empty() ? fmt::format("{:011o}", content.size()) : size_field;
    block.replace(124, size.size(), size);
    block.replace(136, 11, "00000000000");
    block[156] = type;
    block.replace(257, 8, std::string("ustar\00000", 8));
    block.replace(148, 8, "        ");
    unsigned sum = 0;
    for (const char byte : block) sum += static_cast<unsigned char>(byte);
    block.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    std::string padded = content;
    padded.resize((padded.size() + 511) / 512 * 512, '\0');
    return block + padded;
}

const std::string kEnd(1024, '\0');

std::string error_of(const std::string& archive, const TarLimits& limits = {}) {
    MemorySource source(archive);
    TarReader reader(source, limits);
    try {
        while (reader.next()) drain(reader);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid);
        return error.message();
    }
    return "";
}

TarEntry first_of(const std::string& archive, std::string* content = nullptr) {
    MemorySource source(archive);
    TarReader reader(source);
    auto entry = reader.next();
    if (content != nullptr) *content = read_to_string(reader, 1U << 20);
    return entry.value();
}

TEST(TarReader, ReadsAnEmptyArchive) {
    EXPECT_EQ(error_of(kEnd), "");
    EXPECT_EQ(error_of(""), "");
}

TEST(TarReader, AcceptsAnArchiveWithoutEndMarker) {
    EXPECT_EQ(error_of(member('0', "a", "1")), "");
}

TEST(TarReader, ReportsATruncatedFileByName) {
    const std::string archive = member('0', "etc/passwd", std::string(5000, 'x'));
    EXPECT_EQ(error_of(archive.substr(0, 2000)), "tar: etc/passwd: the archive is truncated");
}

TEST(TarReader, ReportsATruncatedHeader) {
    EXPECT_EQ(error_of(member('0', "a", "1").substr(0, 300)),
              "tar: the first entry: the archive is truncated");
}

TEST(TarReader, ReportsAWrongChecksum) {
    std::string archive = member('0', "a", "") + member('0', "b", "");
    archive[512] = 'c';
    EXPECT_EQ(error_of(archive), "tar: a: the checksum of the header that follows is wrong");
}

TEST(TarReader, ReportsDataAfterALoneZeroBlock) {
    EXPECT_NE(error_of(std::string(512, '\0') + member('0', "a", "")), "");
}

TEST(TarReader, RefusesAHugePaxHeader) {
    const std::string archive = member('x', "x", "", "77777777777");
    EXPECT_NE(error_of(archive).find("the limit is"), std::string::npos);
}

TEST(TarReader, RefusesMalformedPaxRecords) {
    for (const char* records : {"5 a=b\n", "99999999999999999999 a=b\n", "6 a=b", "7 ab cd\n",
                                "0 a=b\n", "-6 a=b\n", " 6 a=b\n"})
        EXPECT_NE(error_of(member('x', "x", records) + member('0', "a", "")), "") << records;
}

TEST(TarReader, RefusesAnEndAfterAPaxHeader) {
    EXPECT_NE(error_of(member('x', "x", "6 a=b\n")), "");
}

TEST(TarReader, RefusesANulByteInAPaxPath) {
    const std::string record = tar_format::pax_record("path", std::string("a\0b", 3));
    EXPECT_NE(error_of(member('x', "x", record) + member('0', "a", "")), "");
}

TEST(TarReader, RefusesANegativeSize) {
    const std::string record = tar_format::pax_record("size", "-1");
    EXPECT_NE(error_of(member('x', "x", record) + member('0', "a", "")), "");
}

TEST(TarReader, RefusesAnUnknownType) {
    EXPECT_EQ(error_of(member('Z', "a", "")), "tar: a: unknown entry type 0x5a");
}

TEST(TarReader, LimitsEntries) {
    const std::string archive = member('0', "a", "") + member('0', "b", "");
    EXPECT_EQ(error_of(archive, {.max_entries = 1}), "tar: b: the archive has more than 1 entries");
}

TEST(TarReader, SaysWhichSettingRaisesALimit) {
    const std::string archive = member('0', "a", "12345") + member('0', "b", "");
    EXPECT_NE(error_of(archive, {.max_entries = 1, .entries_setting = "some-key"})
                  .find("(\"some-key\" in daemon.json raises the limit)"),
              std::string::npos);
    EXPECT_NE(error_of(archive, {.max_total_size = 1, .size_setting = "other-key"})
                  .find("(\"other-key\" in daemon.json raises the limit)"),
              std::string::npos);
}

TEST(TarReader, LimitsAllExtendedHeadersOfAnEntryTogether) {
    std::string archive;
    for (const char* key : {"a", "b", "c"})
        archive += member('x', "x", tar_format::pax_record(key, std::string(500, 'v')));
    archive += member('0', "f", "");
    EXPECT_EQ(error_of(archive, {.max_pax_size = 2000}), "");
    EXPECT_NE(error_of(archive, {.max_pax_size = 1200}).find("the limit is 1200"),
              std::string::npos);
}

TEST(TarReader, LimitsWhatGlobalHeadersLeaveInMemory) {
    std::string archive;
    for (int number = 0; number < 200; ++number)
        archive +=
            member('g', "g",
                   tar_format::pax_record(fmt::format("key{}", number), std::string(500, 'v'))) +
            member('0', fmt::format("f{}", number), "");
    EXPECT_NE(error_of(archive).find("the global extended headers hold more than 65536 bytes"),
              std::string::npos);
    std::string same;
    for (int number = 0; number < 200; ++number)
        same += member('g', "g", tar_format::pax_record("comment", std::string(500, 'v'))) +
                member('0', fmt::format("f{}", number), "");
    EXPECT_EQ(error_of(same), "");
}

TEST(TarReader, LimitsTotalSize) {
    const std::string archive = member('0', "a", "12345") + member('0', "b", "12345");
    EXPECT_NE(error_of(archive, {.max_total_size = 9}), "");
}

TEST(TarReader, LimitsTheSizeThatASparseFileClaims) {
    const std::string records = tar_format::pax_record("GNU.sparse.map", "0,1") +
                                tar_format::pax_record("GNU.sparse.size", "9000000000000000000");
    EXPECT_NE(error_of(member('x', "x", records) + member('0', "a", "1")), "");
}

TEST(TarReader, LimitsPathLength) {
    const std::string record = tar_format::pax_record("path", std::string(5000, 'p'));
    EXPECT_NE(error_of(member('x', "x", record) + member('0', "a", "")), "");
}

TEST(TarReader, RefusesABase256NumberOutOfRange) {
    std::string size(12, '\xff');
    size[0] = '\x80';
    EXPECT_NE(error_of(member('0', "a", "", size)), "");
}

TEST(TarReader, ReadsABase256Size) {
    std::string size(12, '\0');
    size[0] = '\x80';
    size[11] = 3;
    std::string content;
    first_of(member('0', "a", "abc", size), &content);
    EXPECT_EQ(content, "abc");
}

TEST(TarReader, ReadsGnuLongNames) {
    const std::string path(300, 'p');
    const std::string link(280, 'l');
    const TarEntry entry =
        first_of(member('L', "././@LongLink", path + '\0') +
                 member('K', "././@LongLink", link + '\0') + member('2', "short", ""));
    EXPECT_EQ(entry.path, path);
    EXPECT_EQ(entry.link_target, link);
}

TEST(TarReader, GlobalRecordsHoldForAllAndLocalOnesWin) {
    const std::string archive =
        member('g', "g", tar_format::pax_record("uid", "7")) + member('0', "a", "") +
        member('x', "x", tar_format::pax_record("uid", "8")) + member('0', "b", "");
    MemorySource source(archive);
    TarReader reader(source);
    EXPECT_EQ(reader.next()->uid, 7);
    EXPECT_EQ(reader.next()->uid, 8);
}

TEST(TarReader, IgnoresTheSizeOfALink) {
    const std::string archive = member('1', "a", "", "00000000777") + member('0', "b", "");
    EXPECT_EQ(error_of(archive), "");
}

TEST(TarReader, ExpandsPaxSparseFiles) {
    const std::string records = tar_format::pax_record("GNU.sparse.major", "1") +
                                tar_format::pax_record("GNU.sparse.minor", "0") +
                                tar_format::pax_record("GNU.sparse.name", "real") +
                                tar_format::pax_record("GNU.sparse.realsize", "10");
    std::string stored = "2\n2\n3\n8\n1\n";
    stored.resize(512, '\0');
    std::string content;
    const TarEntry entry =
        first_of(member('x', "x", records) + member('0', "sparse", stored + "abcd"), &content);
    EXPECT_EQ(entry.path, "real");
    EXPECT_TRUE(entry.sparse);
    EXPECT_EQ(content, std::string("\0\0abc\0\0\0d\0", 10));
}

TEST(TarReader, ExpandsSparseFilesOfForm00) {
    const std::string records = tar_format::pax_record("GNU.sparse.size", "6") +
                                tar_format::pax_record("GNU.sparse.offset", "1") +
                                tar_format::pax_record("GNU.sparse.numbytes", "2") +
                                tar_format::pax_record("GNU.sparse.offset", "5") +
                                tar_format::pax_record("GNU.sparse.numbytes", "1");
    std::string content;
    first_of(member('x', "x", records) + member('0', "a", "abc"), &content);
    EXPECT_EQ(content, std::string("\0ab\0\0c", 6));
}

TEST(TarReader, RefusesASparseMapBeyondTheFile) {
    const std::string records = tar_format::pax_record("GNU.sparse.map", "5,9") +
                                tar_format::pax_record("GNU.sparse.size", "6");
    EXPECT_NE(error_of(member('x', "x", records) + member('0', "a", "abcdefghi")), "");
}

}  // namespace
}  // namespace berth::archive
