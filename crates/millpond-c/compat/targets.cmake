# The interface targets of the fixed-block module. find_package(millpond COMPONENTS compat) makes them; so does
# add_subdirectory of this folder.
#
#     target_link_libraries(kv_store_lib PUBLIC memory_pool_lib)

if(NOT TARGET common)
  add_library(common INTERFACE)
  target_include_directories(common INTERFACE "${CMAKE_CURRENT_LIST_DIR}")
endif()

if(NOT TARGET memory_pool_lib)
  add_library(memory_pool_lib INTERFACE)
  target_include_directories(memory_pool_lib INTERFACE "${CMAKE_CURRENT_LIST_DIR}")
  target_compile_features(memory_pool_lib INTERFACE cxx_std_17)
  target_link_libraries(memory_pool_lib INTERFACE common millpond::millpond)
endif()
