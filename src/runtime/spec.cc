#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "oci/default_seccomp.h"
#include "oci/defaults.h"
#include "runtime/verbs.h"

namespace berth::runtime {

int spec(const Settings&, const Arguments& arguments) {
    oci::Spec sample;
    sample.process = oci::Process{};
    sample.process->args = {"sh"};
    sample.process->env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                           "TERM=xterm"};
    const auto& names = oci::default_capabilities();
    sample.process->capabilities = oci::Capabilities{names, names, {}, names, {}};
    sample.process->no_new_privileges = true;
    sample.hostname = "berth";
    sample.mounts = oci::default_mounts("65536k");
    sample.linux_part.namespaces = oci::default_namespaces();
    sample.linux_part.masked_paths = oci::default_masked_paths();
    sample.linux_part.readonly_paths = oci::default_readonly_paths();
    sample.linux_part.seccomp = oci::default_seccomp(names);
    if (arguments.options.has("rootless")) {
        sample.linux_part.namespaces.push_back({"user", ""});
        sample.linux_part.uid_mappings = {{0, ::geteuid(), 1}};
        sample.linux_part.gid_mappings = {{0, ::getegid(), 1}};
        for (oci::Mount& mount : sample.mounts)  // group 5 is not mapped
            std::erase(mount.options, "gid=5");
    }
    const std::string path = arguments.options.value("bundle", ".") + "/config.json";
    const UniqueFd file = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    write_all(file, oci::to_json(sample).dump(4) + "\n");
    return 0;
}

}  // namespace berth::runtime
