#include "build/mode.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/error.h"

namespace berth::build {
namespace {

mode_t changed(const char* text, mode_t mode) { return ModeChange(text)(mode); }

TEST(ModeChange, TakesNumbers) {
    EXPECT_EQ(changed("0644", S_IFREG | 0777), 0644U);
    EXPECT_EQ(changed("4755", S_IFDIR), 04755U);
    EXPECT_TRUE(ModeChange("0").is_absolute());
}

TEST(ModeChange, TakesSymbolsAsChmodDoes) {
    EXPECT_EQ(changed("go-w", S_IFREG | 0666), 0644U);
    EXPECT_EQ(changed("u=rw,g=r,o=r", S_IFREG | 0777), 0644U);
    EXPECT_EQ(changed("u=rwX,go=rX", S_IFREG | 0600), 0644U);
    EXPECT_EQ(changed("u=rwX,go=rX", S_IFDIR | 0600), 0755U);
    EXPECT_EQ(changed("a+X", S_IFREG | 0640), 0640U);
    EXPECT_EQ(changed("a+X", S_IFREG | 0740), 0751U);
    EXPECT_EQ(changed("+x", S_IFREG | 0640), 0751U);
    EXPECT_EQ(changed("g=u,o-rwx", S_IFREG | 0604), 0660U);
    EXPECT_EQ(changed("u+s,+t", S_IFDIR | 0755), 05755U);
    EXPECT_EQ(changed("u+rw,g+r,o-x,o+w", S_IFDIR | 0124), 0766U);
    EXPECT_EQ(changed("o=", S_IFREG | 0777), 0770U);
    EXPECT_EQ(changed("u+x-w", S_IFREG | 0644), 0544U);
}

TEST(ModeChange, RefusesWhatIsNeither) {
    for (const char* text : {"", "64a", "10000", "u", "u=q", "=rw,x+r", "rwx"})
        EXPECT_THROW(ModeChange{text}, Error) << text;
}

}  // namespace
}  // namespace berth::build
