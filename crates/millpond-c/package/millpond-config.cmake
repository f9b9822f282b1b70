# Millpond as a CMake package: find_package(millpond), then link with
#
#     millpond::millpond    the shared library
#     millpond::static      the static one
#
# The component "compat" adds memory_pool_lib and common, whose interfaces programs of other projects use.
#
# The package can be moved: it contains no absolute paths.

get_filename_component(_millpond_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET millpond::millpond)
  add_library(millpond::millpond SHARED IMPORTED)
  set_target_properties(millpond::millpond PROPERTIES
    IMPORTED_LOCATION "${_millpond_prefix}/lib/libmillpond.so.@VERSION@"
    IMPORTED_SONAME "libmillpond.so.@ABI@"
    INTERFACE_INCLUDE_DIRECTORIES "${_millpond_prefix}/include")
endif()

if(NOT TARGET millpond::static)
  include(CMakeFindDependencyMacro)
  set(THREADS_PREFER_PTHREAD_FLAG ON)
  find_dependency(Threads)
  add_library(millpond::static STATIC IMPORTED)
  set_target_properties(millpond::static PROPERTIES
    IMPORTED_LOCATION "${_millpond_prefix}/lib/libmillpond.a"
    INTERFACE_INCLUDE_DIRECTORIES "${_millpond_prefix}/include"
    INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};m")
endif()

if("compat" IN_LIST millpond_FIND_COMPONENTS)
  include("${_millpond_prefix}/include/millpond-compat/targets.cmake")
  set(millpond_compat_FOUND TRUE)
endif()

unset(_millpond_prefix)
